package email

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/notify"
)

//go:embed templates/message.txt templates/message.html
var builtIn embed.FS

// Mail is what a template is given.
type Mail struct {
	// Text is the message written out in the recipient's language.
	*notify.Text
	Message   *notify.Message
	Recipient *notify.Recipient
}

const (
	maxTemplate = 256 << 10 // bytes of a template
	maxRendered = 512 << 10 // and of what it makes
	maxSubject  = 200       // characters
	anyKind     = "message"
)

// templates are the texts of emails: KIND.LANG.txt, KIND.txt, message.LANG.txt, message.txt, the first that is there;
// the same with .html. A text may define "subject".
type templates struct {
	text map[string]*template.Template
	html map[string]*htmltemplate.Template
}

// loadTemplates reads the operator's directory over the built-in ones, and tries each.
func loadTemplates(dir string) (*templates, error) {
	t := &templates{text: make(map[string]*template.Template), html: make(map[string]*htmltemplate.Template)}
	for _, name := range []string{"message.txt", "message.html"} {
		b, err := builtIn.ReadFile("templates/" + name)
		if err != nil {
			return nil, err
		}
		if err := t.add(name, string(b)); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		return t, nil
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if f.IsDir() || ext != ".txt" && ext != ".html" {
			continue
		}
		if !known(strings.TrimSuffix(f.Name(), ext)) {
			return nil, fmt.Errorf("templates: %s is no name of a template; write KIND or message, then perhaps a language, such as impersonation_started.de%s; the kinds are %v, the languages %v",
				filepath.Join(dir, f.Name()), ext, notify.Kinds, notify.Languages())
		}
		b, err := readFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading templates: %w", err)
		}
		if err := t.add(f.Name(), b); err != nil {
			return nil, fmt.Errorf("templates: %s: %w", dir, err)
		}
	}
	return t, t.try()
}

func known(name string) bool {
	kind, language, has := strings.Cut(name, ".")
	if has && !slices.Contains(notify.Languages(), language) {
		return false
	}
	return kind == anyKind || slices.Contains(notify.Kinds, notify.Kind(kind))
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err == nil && len(b) > maxTemplate {
		err = fmt.Errorf("%s is larger than %d KiB", path, maxTemplate>>10)
	}
	return string(b), err
}

func (t *templates) add(name, content string) error {
	var err error
	if base, ok := strings.CutSuffix(name, ".txt"); ok {
		t.text[base], err = template.New(name).Option("missingkey=error").Parse(content)
	} else {
		base := strings.TrimSuffix(name, ".html")
		t.html[base], err = htmltemplate.New(name).Option("missingkey=error").Parse(content)
	}
	return err
}

// try makes an email of each kind in each language, so that a mistake is found when the configuration is loaded and not
// when somebody should be told.
func (t *templates) try() error {
	at := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	for _, kind := range notify.Kinds {
		for _, language := range notify.Languages() {
			m := &notify.Message{
				ID: "msg", Kind: kind, At: at, ActorUsername: "alice", ActorName: "Alice Ng", TargetUsername: "sam", TargetName: "Sam Reed", Reason: "Why", Ticket: "T-1",
				Mode: "full", Duration: time.Hour, StartedAt: at, EndedAt: at.Add(time.Hour), EndCause: "stopped", Decision: "granted", By: "bob", Note: "Go on",
				Site: "https://app.example.com", Link: "/.impersonate/history", Expires: at.Add(time.Hour),
				Digest: &notify.Digest{From: at.AddDate(0, 0, -7), Until: at, Total: 2, Unusual: 1, Unreviewed: 1, Lines: []notify.DigestLine{
					{Actor: "Alice Ng", Target: "Sam Reed", Reason: "Why", StartedAt: at, Duration: time.Hour, Unusual: []string{notify.OddEmergency, notify.OddUnreviewed}},
				}},
			}
			to := &notify.Recipient{Username: "sam", Name: "Sam Reed", Email: "sam@example.com", Lang: language}
			if _, _, _, err := t.render(&Mail{Text: m.TextFor(to, nil), Message: m, Recipient: to}); err != nil {
				return fmt.Errorf("templates: %w", err)
			}
		}
	}
	return nil
}

// pick is the most fitting of a kind of template.
func pick[T any](from map[string]T, kind notify.Kind, language string) T {
	for _, name := range []string{string(kind) + "." + language, string(kind), anyKind + "." + language} {
		if t, ok := from[name]; ok {
			return t
		}
	}
	return from[anyKind]
}

func (t *templates) render(m *Mail) (subject, text, html string, err error) {
	plain, rich := pick(t.text, m.Message.Kind, m.Lang), pick(t.html, m.Message.Kind, m.Lang)
	subject = m.Subject
	if s := plain.Lookup("subject"); s != nil {
		if subject, err = execute(s, m); err != nil {
			return "", "", "", err
		}
	}
	// One line: what follows a line break would be a header of its own.
	if subject = notify.Line(subject, maxSubject); subject == "" {
		return "", "", "", errors.New("the subject is empty")
	}
	if text, err = execute(plain, m); err != nil {
		return "", "", "", err
	}
	html, err = execute(rich, m)
	return subject, text, html, err
}

func execute(t interface{ Execute(io.Writer, any) error }, m *Mail) (string, error) {
	var b bytes.Buffer
	if err := t.Execute(&limited{&b, maxRendered}, m); err != nil {
		return "", err
	}
	return b.String(), nil
}

// limited refuses more than left bytes.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("the text is longer than %d KiB", maxRendered>>10)
	}
	return l.w.Write(p)
}
