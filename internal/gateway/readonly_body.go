package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
)

// maxPeek is how much of a body is looked at for an overridden method; a longer form is refused in read_only.
const maxPeek = 64 << 10

// bodyReads looks for an override of the method in the body of a request that reads otherwise (Rails, Laravel,
// Symfony, Express and others take the field _method for it), and puts the body back. A body that can't be told
// apart the way an app may do it is refused.
func bodyReads(r *http.Request) bool {
	if r.Body == nil || r.ContentLength == 0 {
		return true
	}
	types := r.Header["Content-Type"]
	if len(types) > 1 {
		return false
	}
	kind, params := "application/x-www-form-urlencoded", map[string]string(nil) // Rack takes it for that
	if len(types) == 1 && types[0] != "" {
		var err error
		if kind, params, err = mime.ParseMediaType(types[0]); err != nil {
			return false
		}
	}
	var look func(body []byte) bool
	switch {
	case strings.Contains(kind, "urlencoded"):
		look = func(body []byte) bool { return fieldsRead(string(body)) }
	case strings.HasPrefix(kind, "multipart/"):
		look = func(body []byte) bool { return partsRead(body, params["boundary"]) }
	case strings.Contains(kind, "json"): // Laravel reads fields of these too
		look = jsonReads
	default:
		return true // no framework looks for fields in it
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxPeek+1))
	if err != nil || len(head) > maxPeek {
		return false
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(head), r.Body}
	return look(head)
}

// fieldsRead looks at a query or a form. It takes apart what any parser does: also by semicolons, and whatever is
// wrong with its escapes.
func fieldsRead(form string) bool {
	if !strings.Contains(form, "%") && !containsFold(form, "method") {
		return true
	}
	for pair := range strings.FieldsFuncSeq(form, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if isMethodField(unescape(name)) && !safeMethod(unescape(strings.ReplaceAll(value, "+", " "))) {
			return false
		}
	}
	return true
}

// isMethodField tells a field that overrides the method: _method as PHP reads it, which trims names and takes other
// characters for _, also as an array; or one named like the header.
func isMethodField(name string) bool {
	name = strings.ToLower(strings.TrimLeft(strings.ReplaceAll(name, "+", " "), " \t\r\n\x00"))
	if isOverride(name) {
		return true
	}
	if len(name) == 0 || strings.IndexByte("_.[", name[0]) < 0 || !strings.HasPrefix(name[1:], "method") {
		return false
	}
	rest := name[len("_method"):]
	return rest == "" || rest[0] == '[' || rest[0] == 0
}

// plainPart is a part's header that every parser reads alike.
var plainPart = regexp.MustCompile(`(?i)^form-data; *name="?([^"\\%;=?*\x00-\x1f\x7f-\xff]*)"?(; *filename="?[^"\\\x00-\x1f]*"?)?$`)

// partsRead looks at a multipart form.
func partsRead(body []byte, boundary string) bool {
	if boundary == "" || !bytes.Contains(body, []byte("--"+boundary+"--")) || containsFold(string(body), "_method") || containsFold(string(body), "method-override") {
		return false // also where only another parser would see a field
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		d := part.Header["Content-Disposition"]
		if len(d) != 1 {
			return false
		}
		m := plainPart.FindStringSubmatch(d[0])
		if m == nil || isMethodField(m[1]) {
			return false
		}
	}
}

// jsonReads looks at the members of an object.
func jsonReads(body []byte) bool {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		var other json.RawMessage
		return json.Unmarshal(body, &other) == nil // an array or the like has none
	}
	for name := range members {
		if isMethodField(name) { // whatever its value: there may be two, and parsers differ in which they take
			return false
		}
	}
	return true
}

func containsFold(s, lower string) bool { return strings.Contains(strings.ToLower(s), lower) }
