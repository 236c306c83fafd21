package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// FileWitness is a file that checkpoints are appended to.
type FileWitness struct {
	// Path of the file; made when missing, its directory is not. Required, and absolute.
	Path string `json:"path"`
}

// Validate reports what is wrong.
func (f *FileWitness) Validate() error {
	const what = "audit witness file"
	if err := validatePath(what, f.Path); err != nil {
		return err
	}
	if strings.HasSuffix(f.Path, string(filepath.Separator)) {
		return fmt.Errorf("%s %q: is a directory; name a file in it", what, f.Path)
	}
	return nil
}

// WebhookWitness is called with each checkpoint, signed after the Standard Webhooks scheme.
type WebhookWitness struct {
	// URL is called with POST. Required.
	URL string `json:"url"`

	// Secret signs: "whsec_" and 24 to 64 random bytes in base64. Required.
	Secret string `json:"secret"`
}

// SyslogWitness is a syslog daemon that takes RFC 5424.
type SyslogWitness struct {
	// Address is udp://host[:514], tcp://host[:601], tls://host[:6514] or unix:///dev/log. Required.
	Address string `json:"address"`

	// CA is a file of PEM certificates to trust instead of the system's. For tls.
	CA string `json:"ca,omitempty"`

	// Certificate and CertificateKey are files, in PEM, of the certificate that the gateway shows. Default: none. For tls.
	Certificate    string `json:"certificate,omitempty"`
	CertificateKey string `json:"certificate_key,omitempty"`
}
