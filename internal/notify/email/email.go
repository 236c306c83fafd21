// Package email carries notices by SMTP, as text and HTML, to each recipient in their language.
package email

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

// How far TLS is insisted on.
const (
	// TLSOpportunistic encrypts where the server offers it, whoever it is: what mail servers do among each other. It
	// keeps out who only listens.
	TLSOpportunistic = "opportunistic"
	// TLSRequired encrypts, and the server's certificate must be good.
	TLSRequired = "required"
	// TLSOff never encrypts.
	TLSOff = "off"
)

const defaultTimeout = 20 * time.Second

// Options are how emails are sent. Server and From are required.
type Options struct {
	// Server is smtp://host[:port] (port 25; 587 with a username) or smtps://host[:port] (465, TLS from the start).
	Server string
	// From is who sends: an address, or a name and an address.
	From string
	// ReplyTo is where answers go; default: to From.
	ReplyTo            string
	Username, Password string
	// TLS is one of the constants; default: required with a username and for smtps, else opportunistic.
	TLS string
	// Roots are who may vouch for the server; nil: the system's.
	Roots *x509.CertPool
	// Kinds are those that are sent; empty: all but the end of an impersonation, which the start has announced.
	Kinds []notify.Kind
	// Templates is a directory of the operator's own texts; empty: the built-in ones.
	Templates string
	// Zone is the one times are told in; nil: UTC.
	Zone *time.Location
	// Timeout bounds connecting, and each exchange with the server; default 20 s.
	Timeout time.Duration
	// Hello is what the gateway calls itself to the server; default: the machine's name.
	Hello string
}

// Notifier is [notify.Notifier] by email.
type Notifier struct {
	o         Options
	from      *mail.Address
	replyTo   *mail.Address
	host      string
	port      int
	implicit  bool // TLS from the start
	templates *templates
}

// New checks the options and reads the templates. It dials nobody.
func New(o Options) (*Notifier, error) {
	n := &Notifier{o: o}
	var err error
	if n.host, n.port, n.implicit, err = ParseServer(o.Server, o.Username != ""); err != nil {
		return nil, fmt.Errorf("notify email: %w", err)
	}
	if n.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, fmt.Errorf("notify email: from: %w", err)
	}
	if o.ReplyTo != "" {
		if n.replyTo, err = mail.ParseAddress(o.ReplyTo); err != nil {
			return nil, fmt.Errorf("notify email: reply_to: %w", err)
		}
	}
	if n.o.TLS == "" {
		n.o.TLS = TLSOpportunistic
		if o.Username != "" || n.implicit {
			n.o.TLS = TLSRequired
		}
	}
	if n.o.Timeout <= 0 {
		n.o.Timeout = defaultTimeout
	}
	if n.templates, err = loadTemplates(o.Templates); err != nil {
		return nil, fmt.Errorf("notify email: %w", err)
	}
	return n, nil
}

// ParseServer reads an address such as smtp://mail.example.com:587.
func ParseServer(server string, login bool) (host string, port int, implicit bool, err error) {
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return "", 0, false, errors.New("the server's address can't be read; write such as smtp://mail.example.com:587")
	case u.User != nil:
		return "", 0, false, errors.New("the server's address holds a user; write username and password into the block instead")
	case u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", 0, false, fmt.Errorf("%.80q is no mail server; write such as smtp://mail.example.com:587 or smtps://mail.example.com", server)
	}
	implicit = u.Scheme == "smtps"
	switch {
	case u.Port() != "":
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return "", 0, false, fmt.Errorf("port %.10q: must be from 1 to 65535", u.Port())
		}
	case implicit:
		port = 465
	case login:
		port = 587
	default:
		port = 25
	}
	return u.Hostname(), port, implicit, nil
}

// Name implements [notify.Notifier]. There is one email notifier, and what waits for it goes by whichever is in force.
func (n *Notifier) Name() string { return "email" }

// Carries implements [notify.Notifier]: those of the recipients that have an address.
func (n *Notifier) Carries(m *notify.Message) []notify.Recipient {
	if len(n.o.Kinds) > 0 && !slices.Contains(n.o.Kinds, m.Kind) || len(n.o.Kinds) == 0 && m.Kind == notify.KindEnded {
		return nil
	}
	var to []notify.Recipient
	for _, r := range m.To {
		known := slices.ContainsFunc(to, func(o notify.Recipient) bool { return strings.EqualFold(o.Username, r.Username) })
		if r.Username != "" && !known && address(&r) != nil {
			to = append(to, r)
		}
	}
	return to
}

// address is the recipient's; nil when they have none that mail can be sent to.
func address(r *notify.Recipient) *mail.Address {
	if r.Email == "" || len(r.Email) > 254 || strings.ContainsFunc(r.Email, func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) || c == '<' || c == '>' }) {
		return nil
	}
	a, err := mail.ParseAddress(r.Email)
	if err != nil || a.Address != r.Email {
		return nil
	}
	// A name of words in their own script is written as it is; what could end a quoted string is left out.
	a.Name = literal(notify.Line(strings.NewReplacer(`"`, "", `\`, "").Replace(r.Name), 100))
	return a
}

// literal keeps text from being read as an encoded word (RFC 2047), in which anything could be.
func literal(s string) string { return strings.ReplaceAll(s, "=?", "= ?") }

// Deliver implements [notify.Notifier].
func (n *Notifier) Deliver(ctx context.Context, d *notify.Delivery) error {
	msg, err := n.message(d)
	if err != nil {
		return err
	}
	c, err := n.client()
	if err != nil {
		return err
	}
	if err := c.DialAndSendWithContext(ctx, msg); err != nil {
		return classify(fmt.Errorf("sending by %s: %w", c.ServerAddr(), err))
	}
	return nil
}

// message is the email as it goes out.
func (n *Notifier) message(d *notify.Delivery) (*gomail.Msg, error) {
	to := address(&d.To)
	if to == nil {
		return nil, fmt.Errorf("%w: they have no email address", notify.ErrPermanent)
	}
	text := d.Message.TextFor(&d.To, n.o.Zone)
	subject, plain, html, err := n.templates.render(&Mail{Text: text, Message: d.Message, Recipient: &d.To})
	if err != nil {
		return nil, fmt.Errorf("writing the email: %w", err)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(n.from)
	if n.replyTo != nil {
		msg.ReplyToMailAddress(n.replyTo)
	}
	msg.AddToMailAddress(to)
	msg.Subject(literal(subject))
	msg.SetDateWithValue(d.Message.At)
	// The same for every try, so that a mail program shows what came twice once.
	sum := sha256.Sum256([]byte(d.ID))
	msg.SetMessageIDWithValue(hex.EncodeToString(sum[:16]) + "@" + domain(n.from.Address))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	msg.SetGenHeader("Content-Language", text.Lang)
	msg.SetBodyString(gomail.TypeTextPlain, plain)
	msg.AddAlternativeString(gomail.TypeTextHTML, html)
	return msg, nil
}

func (n *Notifier) client() (*gomail.Client, error) {
	opts := []gomail.Option{gomail.WithTimeout(n.o.Timeout), gomail.WithPort(n.port)}
	if n.o.Hello != "" {
		opts = append(opts, gomail.WithHELO(n.o.Hello))
	}
	conf := &tls.Config{ServerName: n.host, RootCAs: n.o.Roots, MinVersion: tls.VersionTLS12}
	switch {
	case n.implicit:
		opts = append(opts, gomail.WithSSL())
	case n.o.TLS == TLSRequired:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case n.o.TLS == TLSOff:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		conf.InsecureSkipVerify = true //nolint:gosec // opportunistic: better than none, and none is the alternative
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	}
	opts = append(opts, gomail.WithTLSConfig(conf))
	if n.o.Username != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(n.o.Username), gomail.WithPassword(n.o.Password))
	}
	c, err := gomail.NewClient(n.host, opts...)
	if err != nil {
		return nil, fmt.Errorf("preparing to send: %w", err)
	}
	return c, nil
}

// classify marks what no later try can mend: the server has refused this recipient or this text for good. Anything
// else, such as a refused login, an operator may mend in time.
func classify(err error) error {
	var s *gomail.SendError
	if !errors.As(err, &s) || s.IsTemp() || s.ErrorCode() < 500 {
		return err
	}
	switch s.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		return fmt.Errorf("%w: %w", notify.ErrPermanent, err)
	}
	return err
}

func domain(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}
