package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

const (
	defaultLimit = 25
	maxLimit     = 100
)

func limitOf(s string) (int, error) {
	if s == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		return 0, fmt.Errorf("limit: give a number from 1 to %d", maxLimit)
	}
	return n, nil
}

// query refuses parameters it does not know, and repeats: a filter with a typing error must not show everything.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query can't be read")
	}
	for k, values := range q {
		if !slices.Contains(known, k) {
			return q, fmt.Errorf("%s: unknown; there are %s", cut(k, 100), strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return q, fmt.Errorf("%s: given more than once", k)
		}
	}
	return q, nil
}

// decode reads a JSON object strictly: nothing unknown, nothing twice, nothing after it. A misspelt "read_onyl" must
// not start something else than was meant.
func decode(w http.ResponseWriter, r *http.Request, into any, fields ...string) *problem.Problem {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return mediaType("application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			return tooLarge()
		}
		return badRequest("The body could not be read.")
	}
	if !utf8.Valid(body) {
		return badRequest("The body is not UTF-8.")
	}
	if err := checkObject(body, fields); err != nil {
		return badRequest(err.Error())
	}
	if err := json.Unmarshal(body, into); err != nil {
		return badRequest(plainJSONError(err))
	}
	return nil
}

// checkObject refuses what encoding/json would take: unknown names, repeated ones (the last wins), the same in another
// case, and anything that is not one object.
func checkObject(body []byte, fields []string) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	t, err := d.Token()
	if err != nil || t != json.Delim('{') {
		return errors.New("the body must be one JSON object")
	}
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return errors.New("the body is not JSON")
		}
		if seen[name] {
			return fmt.Errorf("%q is given twice", cut(name, 100))
		}
		if !slices.Contains(fields, name) {
			return fmt.Errorf("unknown field %q", cut(name, 100))
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return errors.New("the body is not JSON")
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("the body is not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// plainJSONError says what is wrong without the names of Go's types.
func plainJSONError(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, errDuration):
		return errDuration.Error()
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s: a %s is not what goes there", cut(wrong.Field, 100), wrong.Value)
	}
	return "the body is not JSON"
}
