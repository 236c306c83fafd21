package cookiejar

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What apps write into Set-Cookie, and what a browser makes of it: the kinds of oddity that the IETF's http-state tests
// collect, as RFC 6265bis decides them. It differs from those tests, written for RFC 6265, in cookies without a name, which
// it keeps, and in control characters, for which it drops the cookie.
func TestOddities(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  []string
		path string // asked for, below /shop/
		want string
	}{
		// The pair.
		{"spaces around everything", []string{"  cart \t=  3 items  ; HttpOnly"}, "", "cart=3 items"},
		{"no value", []string{"cart=; HttpOnly"}, "", "cart="},
		{"no name and no =", []string{"loose; HttpOnly"}, "", "loose"},
		{"no name", []string{"=loose; HttpOnly"}, "", "loose"},
		{"neither", []string{"=; HttpOnly"}, "", ""},
		{"nothing at all", []string{"; HttpOnly"}, "", ""},
		{"only attributes", []string{"; Path=/shop; Secure; HttpOnly"}, "", ""},
		{"two without a name are one", []string{"first; HttpOnly", "second; HttpOnly"}, "", "second"},
		{"without a name, then with one", []string{"first; HttpOnly", "a=1; HttpOnly"}, "", "first; a=1"},
		{"more =", []string{"q=a=b=c; HttpOnly"}, "", "q=a=b=c"},
		{"== at once", []string{"q==; HttpOnly"}, "", "q=="},
		{"quotes hold nothing together", []string{`q="one;two"; HttpOnly`}, "", `q="one`},
		{"quotes in a name", []string{`"q"=1; HttpOnly`}, "", `"q"=1`},
		{"a backslash", []string{`q=\"; HttpOnly`}, "", `q=\"`},
		{"commas part nothing", []string{"a=1, b=2; HttpOnly"}, "", "a=1, b=2"},
		{"a comma in a name", []string{"a,b=2; HttpOnly"}, "", "a,b=2"},
		{"odd but allowed", []string{"!#$%&'*+-./:<>?@[]^_`{|}~()=1; HttpOnly"}, "", "!#$%&'*+-./:<>?@[]^_`{|}~()=1"},
		{"UTF-8", []string{"name=Zoë; HttpOnly"}, "", "name=Zoë"},
		{"Latin-1", []string{"name=Zo\xeb; HttpOnly"}, "", "name=Zo\xeb"},
		{"a tab inside", []string{"a=1\t2; HttpOnly"}, "", "a=1\t2"},
		{"NUL", []string{"a=1\x002; HttpOnly"}, "", ""},
		{"a line break", []string{"a=1\r2; HttpOnly"}, "", ""},
		{"DEL in the name", []string{"a\x7f=1; HttpOnly"}, "", ""},
		{"names differ by case", []string{"a=1; HttpOnly", "A=2; HttpOnly"}, "", "a=1; A=2"},
		{"named like an attribute", []string{"Path=1; HttpOnly", "expires=2; HttpOnly"}, "", "Path=1; expires=2"},
		{"as large as may be", []string{"a=" + strings.Repeat("x", MaxBytes-1) + "; HttpOnly"}, "", "a=" + strings.Repeat("x", MaxBytes-1)},
		{"larger by one", []string{"ab=" + strings.Repeat("x", MaxBytes-1) + "; HttpOnly"}, "", ""},

		// Attributes.
		{"any case, any space", []string{"a=1;hTTPoNLY ;  pATH =  /shop ; sECURE"}, "", "a=1"},
		{"values that take none", []string{"a=1; Secure=no; HttpOnly=false"}, "", "a=1"},
		{"semicolons for nothing", []string{"a=1;;;; ;HttpOnly;;"}, "", "a=1"},
		{"the last path counts", []string{"a=1; HttpOnly; Path=/elsewhere; Path=/shop"}, "", "a=1"},
		{"the last path counts, also against", []string{"a=1; HttpOnly; Path=/shop; Path=/elsewhere"}, "", ""},
		{"an empty path is none", []string{"a=1; HttpOnly; Path="}, "", "a=1"},
		{"a path that is none is the page's", []string{"a=1; HttpOnly; Path=shop"}, "", "a=1"},
		{"a path in quotes is none", []string{`a=1; HttpOnly; Path="/elsewhere"`}, "", "a=1"},
		{"a path is a matter of case", []string{"a=1; HttpOnly; Path=/Shop"}, "", ""},
		{"a path is not decoded", []string{"a=1; HttpOnly; Path=/sh%6fp"}, "", ""},
		{"a path is a whole segment", []string{"a=1; HttpOnly; Path=/sho"}, "", ""},
		{"a path with a query is another", []string{"a=1; HttpOnly; Path=/shop/?x"}, "", ""},
		{"deeper than asked for", []string{"a=1; HttpOnly; Path=/shop/cart"}, "", ""},
		{"deeper, asked for", []string{"a=1; HttpOnly; Path=/shop/cart"}, "cart/1", "a=1"},
		{"an empty domain is none", []string{"a=1; HttpOnly; Domain="}, "", "a=1"},
		{"the last domain counts", []string{"a=1; HttpOnly; Domain=other.test; Domain=.example.com"}, "", "a=1"},
		{"the last domain counts, also against", []string{"a=1; HttpOnly; Domain=example.com; Domain=other.test"}, "", ""},
		{"a domain in capitals", []string{"a=1; HttpOnly; Domain=EXAMPLE.com"}, "", "a=1"},
		{"a domain with a part of a label", []string{"a=1; HttpOnly; Domain=ample.com"}, "", ""},
		{"a domain with two dots before", []string{"a=1; HttpOnly; Domain=..example.com"}, "", ""},
		{"a domain with a dot after", []string{"a=1; HttpOnly; Domain=example.com."}, "", ""},
		{"a domain with a port", []string{"a=1; HttpOnly; Domain=example.com:443"}, "", ""},
		{"a domain beyond ASCII", []string{"a=1; HttpOnly; Domain=exämple.com"}, "", ""},
		{"an address", []string{"a=1; HttpOnly; Domain=127.0.0.1"}, "", ""},
		{"Max-Age with a sign", []string{"a=1; HttpOnly; Max-Age=+60"}, "", "a=1"},
		{"Max-Age below zero", []string{"a=1; HttpOnly; Max-Age=-1"}, "", ""},
		{"Max-Age of minus nothing", []string{"a=1; HttpOnly; Max-Age=-"}, "", "a=1"},
		{"Max-Age in quotes", []string{`a=1; HttpOnly; Max-Age="0"`}, "", "a=1"},
		{"the last Max-Age counts", []string{"a=1; HttpOnly; Max-Age=0; Max-Age=60"}, "", "a=1"},
		{"Expires in quotes", []string{`a=1; HttpOnly; Expires="Thu, 01 Jan 1970 00:00:00 GMT"`}, "", ""},
		{"Expires without a date", []string{"a=1; HttpOnly; Expires="}, "", "a=1"},
		{"SameSite of a kind nobody knows", []string{"a=1; HttpOnly; SameSite=Sometimes"}, "", "a=1"},
		{"the last SameSite counts", []string{"a=1; HttpOnly; SameSite=None; SameSite=Lax"}, "", "a=1"},
		{"too many attributes", []string{"a=1; HttpOnly" + strings.Repeat("; x=y", 1000)}, "", "a=1"},

		// Several.
		{"in the order they came", []string{"z=1; HttpOnly", "a=2; HttpOnly", "m=3; HttpOnly"}, "", "z=1; a=2; m=3"},
		{"a new value keeps its place", []string{"z=1; HttpOnly", "a=2; HttpOnly", "z=3; HttpOnly"}, "", "z=3; a=2"},
		{"removed and set again, it is new", []string{"z=1; HttpOnly", "a=2; HttpOnly", "z=; Max-Age=0", "z=3; HttpOnly"}, "", "a=2; z=3"},
		{"the longer path first", []string{"a=1; HttpOnly; Path=/", "b=2; HttpOnly; Path=/shop", "a=3; HttpOnly; Path=/shop/"}, "", "a=3; b=2; a=1"},
		{"with and without a domain are two", []string{"a=1; HttpOnly; Domain=app.example.com", "a=2; HttpOnly"}, "", "a=1; a=2"},
		{"removing one of them leaves the other", []string{"a=1; HttpOnly; Domain=app.example.com", "a=2; HttpOnly", "a=; Max-Age=0"}, "", "a=1"},
		{"removing what is not there", []string{"a=1; HttpOnly; Path=/", "a=; Max-Age=0; Path=/shop"}, "", "a=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := NewJar(true, NewOwn(), nil, now)
			j.Response(get("/shop/page"), tc.set, now)
			if got := j.Request(get("/shop/"+tc.path), now); got != tc.want {
				t.Errorf("%q: the app got %q, want %q", tc.set, got, tc.want)
			}
			// After a restart it is the same.
			again, err := UnmarshalJar(j.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			if got := again.Request(get("/shop/"+tc.path), now); got != tc.want {
				t.Errorf("%q: after a restart the app got %q, want %q", tc.set, got, tc.want)
			}
		})
	}
}

// Whatever an app's answer sets, the header that is made of it is one a server can read: no line break, no control
// character, no more than the limits.
func FuzzOddities(f *testing.F) {
	f.Add("a=1; Path=/; HttpOnly", "b", "/")
	f.Add("=;=;", "a=\x00", "/x")
	f.Add("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=9", "a=2; Domain=example.com", "//")
	f.Fuzz(func(t *testing.T, first, second, path string) {
		r := httptest.NewRequest(http.MethodGet, "https://app.example.com/", nil)
		r.URL.Path = "/" + path
		j := NewJar(true, NewOwn(), nil, now)
		j.Response(r, []string{first, second, first}, now)
		got := j.Request(r, now)
		if strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q and %q: the app got %q", first, second, got)
		}
		if n := len(got); n > 2*(MaxBytes+3) {
			t.Errorf("%d bytes of %d and %d", n, len(first), len(second))
		}
	})
}
