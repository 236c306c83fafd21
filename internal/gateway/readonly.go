package gateway

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// overrideHeaders are how clients ask a framework to take a request for one of another method.
var overrideHeaders = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// maxPeek is how much of a form is looked at for an overridden method; a longer one is refused in read_only.
const maxPeek = 64 << 10

// reads tells whether a request only reads: by its method, or because the operator calls it safe; and not made
// into something else by a method override (Rails, Laravel, Symfony and others read _method).
func (s *Site) reads(r *http.Request) bool {
	if !isSafe(r) && !s.safe.grants(r) {
		return false
	}
	for name, values := range r.Header {
		if len(name) < len("X-Http-Method") || !isOverride(name) {
			continue
		}
		for _, v := range values {
			if !safeMethod(v) {
				return false
			}
		}
	}
	if strings.Contains(r.URL.RawQuery, "method") || strings.Contains(r.URL.RawQuery, "%") {
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || !safeMethods(q["_method"]) {
			return false
		}
	}
	return isSafe(r) || formReads(r)
}

func isOverride(name string) bool {
	name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
	for _, o := range overrideHeaders {
		if strings.EqualFold(name, o) {
			return true
		}
	}
	return false
}

// formReads looks for _method in the form of a request the operator calls safe, and puts the body back.
func formReads(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return r.Header.Get("Content-Type") == ""
	}
	switch t {
	case "multipart/form-data":
		return false // a search does not upload; telling its fields apart would mean reading it all
	case "application/x-www-form-urlencoded":
	default:
		return true
	}
	if r.Body == nil {
		return true
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxPeek+1))
	if err != nil || len(head) > maxPeek {
		return false
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(head), r.Body}
	form, err := url.ParseQuery(string(head))
	return err == nil && safeMethods(form["_method"])
}

func safeMethods(methods []string) bool {
	for _, m := range methods {
		if !safeMethod(m) {
			return false
		}
	}
	return true
}

func safeMethod(m string) bool {
	switch strings.ToUpper(strings.TrimSpace(m)) {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}
