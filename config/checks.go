package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Own is the path under which the gateway serves its own pages on each site.
const Own = "/.impersonate"

// validatePattern checks a path with * for anything: "/static/*", "/billing*", "/bookings/*/complete".
func validatePattern(option, p string) error {
	switch {
	case p == "" || len(p) > 1024 || hasControl(p) || p[0] != '/':
		return fmt.Errorf("%s %.80q: not a path; start it with /, and use * for anything, such as /static/*", option, p)
	case strings.ContainsAny(p, "?#"):
		return fmt.Errorf("%s %s: only the path is looked at; leave out what follows ? or #", option, p)
	case badGlob(p):
		return fmt.Errorf("%s %s: has a [ or \\ that ends nothing; remove it", option, p)
	case strings.ContainsAny(p, "{}"):
		return fmt.Errorf("%s %s: placeholders mean nothing here; write the path", option, p)
	case p == Own || strings.HasPrefix(p, Own+"/") || strings.HasPrefix(p, Own+"*"):
		return fmt.Errorf("%s %s: what is under %s is the gateway's own and never reaches the app; remove it", option, p, Own)
	}
	return nil
}

func badGlob(p string) bool {
	_, err := path.Match(p, "")
	return err != nil
}

func validateRequests(option, method string, paths []string) error {
	var errs []error
	if method == "" || strings.IndexFunc(method, notToken) >= 0 || len(method) > 32 {
		errs = append(errs, fmt.Errorf("%s %.40q: not a method; write such as POST", option, method))
	} else if up := strings.ToUpper(method); up != method {
		errs = append(errs, fmt.Errorf("%s %s: upper and lower case differ in a method; write %s", option, method, up))
	}
	if len(paths) == 0 {
		errs = append(errs, fmt.Errorf("%s %s: no path; write such as /bookings/*/complete", option, method))
	}
	for _, p := range paths {
		errs = append(errs, validatePattern(option+" "+method, p))
	}
	return errors.Join(errs...)
}

// oneOf checks that all values are known, and none is there twice.
func oneOf(option string, values, known []string) error {
	var errs []error
	for i, v := range values {
		if !slices.Contains(known, v) {
			errs = append(errs, fmt.Errorf("%s %.80q: not known; write %s", option, v, list(known)))
		} else if slices.Contains(values[:i], v) {
			errs = append(errs, fmt.Errorf("%s %s: already specified; remove one", option, v))
		}
	}
	return errors.Join(errs...)
}

// list writes words for a sentence: a, b or c.
func list(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// parseHTTPURL reads an absolute http or https URL.
func parseHTTPURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048 || hasControl(s):
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("does not start with https://")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	}
	return u, nil
}

// isName is what can stand in a log line or a URL without quotes.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}) < 0
}

// notToken finds what RFC 9110, section 5.6.2, does not allow in a header's name or a method.
func notToken(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }

func quoteShort(s string) string { return fmt.Sprintf("%.80q", s) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
