package banner

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
)

const assetDir = "/.impersonate/assets/"

//go:embed assets/banner.js
var scriptSource []byte

//go:embed assets/banner.css
var styleSource []byte

// asset is one of the banner's files.
type asset struct {
	path  string // with its hash: never changes, cached for good
	ext   string
	mime  string
	data  []byte
	query bool // the colour comes in the query
}

var (
	assetScript = newAsset(".js", "text/javascript; charset=utf-8", scriptSource)
	assetStyle  = newAsset(".css", "text/css; charset=utf-8", styleSource)
)

func newAsset(ext, mime string, data []byte) asset {
	sum := sha256.Sum256(data)
	return asset{
		path: assetDir + "banner-" + hex.EncodeToString(sum[:6]) + ext,
		ext:  ext, mime: mime, data: data, query: ext == ".css",
	}
}

// integrity is the digest for pages whose Integrity-Policy asks for one.
func integrity(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// ServeAsset answers a request for the banner's script or stylesheet, under /.impersonate/assets/ as banner-HASH.js,
// banner-HASH.css, banner.js and banner.css; it is false, with nothing written, for any other path. It needs no login:
// the files are the same for everybody.
//
// A hash that is not this build's (a page outlived a restart) is answered with this build's file, not to be kept.
func ServeAsset(w http.ResponseWriter, r *http.Request) bool {
	name, ok := strings.CutPrefix(r.URL.Path, assetDir+"banner")
	if !ok || strings.Contains(name, "/") {
		return false
	}
	var a *asset
	switch {
	case strings.HasSuffix(name, assetScript.ext):
		a = &assetScript
	case strings.HasSuffix(name, assetStyle.ext):
		a = &assetStyle
	default:
		return false
	}
	if stem := strings.TrimSuffix(name, a.ext); stem != "" && stem[0] != '-' {
		return false
	}
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	h.Set("Content-Type", a.mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.URL.Path == a.path {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if r.Method == http.MethodHead {
		return true
	}
	data := a.data
	if a.query {
		data = colored(parseColor(r.URL.Query().Get("c")))
	}
	_, _ = w.Write(data) // the browser went away: nobody to tell
	return true
}

// colored is the stylesheet for a bar of that colour. It is chosen by URL, since a page's policy may forbid style
// attributes, and without script there is no other way.
func colored(c color) []byte {
	out := make([]byte, 0, len(styleSource)+64)
	out = append(out, ":host{--accent:"...)
	out = append(out, c.css()...)
	out = append(out, ";--on-accent:"...)
	out = append(out, c.ink()...)
	out = append(out, "}\n"...)
	return append(out, styleSource...)
}
