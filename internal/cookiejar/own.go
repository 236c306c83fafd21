package cookiejar

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"net/http"
	"time"
)

// Own remembers the app cookies a person's own browser holds, as the app set them: what a request's Cookie header
// does not tell, their attributes, is needed to put one back. It is not safe for concurrent use.
type Own struct {
	cookies map[key]*Cookie
}

// NewOwn remembers nothing yet.
func NewOwn() *Own { return &Own{cookies: map[key]*Cookie{}} }

// Learn notes what the app sets in answer to r. It tells whether anything but values changed: that is worth saving;
// values are in the browser too.
func (o *Own) Learn(r *http.Request, secure bool, setCookies []string, now time.Time) bool {
	changed := false
	for _, line := range setCookies {
		c, ok := parse(line, r, secure, now)
		if !ok {
			continue
		}
		old := o.cookies[c.key()]
		if c.expired(now) {
			changed = changed || old != nil
			delete(o.cookies, c.key())
			continue
		}
		if old == nil {
			changed = true
			makeRoom(o.cookies)
		} else {
			changed = changed || old.HTTPOnly != c.HTTPOnly || old.Secure != c.Secure || old.SameSite != c.SameSite || old.Expires.IsZero() != c.Expires.IsZero()
			c.Created = old.Created
		}
		o.cookies[c.key()] = c
	}
	return changed
}

func makeRoom(cookies map[key]*Cookie) {
	if len(cookies) < MaxCookies {
		return
	}
	var oldest *Cookie
	for _, c := range cookies {
		if oldest == nil || c.Created.Before(oldest.Created) {
			oldest = c
		}
	}
	delete(cookies, oldest.key())
}

// Marshal is Own for the store.
func (o *Own) Marshal() []byte {
	list := make([]*Cookie, 0, len(o.cookies))
	for _, c := range o.cookies {
		list = append(list, c)
	}
	return encode(list)
}

// UnmarshalOwn is Marshal's reverse.
func UnmarshalOwn(b []byte) (*Own, error) {
	var list []*Cookie
	if err := decode(b, &list); err != nil {
		return nil, fmt.Errorf("reading own cookies: %w", err)
	}
	o := NewOwn()
	for _, c := range list {
		o.cookies[c.key()] = c
	}
	return o, nil
}

func encode(v any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		panic(err) // plain structs into memory: a programming error
	}
	return b.Bytes()
}

func decode(b []byte, v any) error { return gob.NewDecoder(bytes.NewReader(b)).Decode(v) }
