package audit_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzYW0ifQ.c2lnbmF0dXJl"

func TestRedactQuery(t *testing.T) {
	t.Parallel()
	r := audit.NewRedactor("badge", "ssn", "X-Custom")
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"nothing secret", "tab=checklist&page=2&q=a+b%20c", "tab=checklist&page=2&q=a+b%20c"},
		{"whole name", "token=abc", "token=[redacted]"},
		{"among others", "a=1&password=p&b=2", "a=1&password=[redacted]&b=2"},
		{"twice", "code=1&x=2&code=3", "code=[redacted]&x=2&code=[redacted]"},
		{"upper case", "TOKEN=abc&PassWord=x", "TOKEN=[redacted]&PassWord=[redacted]"},
		{"word", "reset-code=1&sort_key=2&apiKey=3&keys[]=4", "reset-code=[redacted]&sort_key=[redacted]&apiKey=[redacted]&keys[]=[redacted]"},
		{"no word", "keyboard=qwerty&encoded=1&estate=x&author=y&signal=z&pinned=1&stateless=no", "keyboard=qwerty&encoded=1&estate=x&author=y&signal=z&pinned=1&stateless=no"},
		{"within", "newpassword2=x&accesstoken=y&JSESSIONID=z&clientSecret=q", "newpassword2=[redacted]&accesstoken=[redacted]&JSESSIONID=[redacted]&clientSecret=[redacted]"},
		{"digits", "pin2=1&pass1=x", "pin2=[redacted]&pass1=[redacted]"},
		{"own names", "badge_no=1&ssn=2&x_custom=3&badgers=4", "badge_no=[redacted]&ssn=[redacted]&x_custom=[redacted]&badgers=[redacted]"},
		{"brackets", "user[password]=x&user%5Bpassword%5D=y", "user[password]=[redacted]&user%5Bpassword%5D=[redacted]"},
		{"encoded name", "%74oken=x&tok%65n=y", "%74oken=[redacted]&tok%65n=[redacted]"},
		{"encoded twice", "%2574oken=x", "%2574oken=[redacted]"},
		{"malformed", "%zz&token=%&%=1&=x&&token", "%zz&token=[redacted]&%=1&=x&&token"},
		{"malformed name", "%token=x&tok%en=y", "%token=[redacted]&tok%en=[redacted]"},
		{"semicolons", "a=1;token=x;b=2&c=3", "a=1;token=[redacted]&c=3"},
		{"semicolon in a secret", "token=x;y&c=3", "token=[redacted]&c=3"},
		{"equals in a value", "token==a=b&x=1=2", "token=[redacted]&x=1=2"},
		{"empty value", "token=&a=1", "token=&a=1"},
		{"token as a value", "next=" + jwt, "next=[redacted]"},
		{"token alone", jwt, "[redacted]"},
		{"token encoded", "x=%65%79Jhbg.abcdefghij&y=1", "x=[redacted]&y=1"},
		{"token cut off", "x=eyJhbGciOiJFUzI1", "x=[redacted]"},
		{"bearer", "h=Bearer%20" + jwt, "h=[redacted]"},
		{"URL inside", "next=%2Fcallback%3Fcode%3D123%26x%3D1", "next=[redacted]"},
		{"URL inside, nothing secret", "next=%2Flist%3Fpage%3D2", "next=%2Flist%3Fpage%3D2"},
		{"URL inside, plain", "next=/cb?a=1?token=x", "next=[redacted]"},
		{"URL inside, encoded twice", "next=%252Fcb%253Ftoken%253Dx", "next=[redacted]"},
		{"JSON inside", "q=%7B%22password%22%3A%20%22x%22%7D", "q=[redacted]"},
		{"time", "at=12:30", "at=12:30"},
		{"plus", "new+password=x", "new+password=[redacted]"},
		{"separators in the name", "to_ken=x&pass.word=y", "to_ken=[redacted]&pass.word=[redacted]"},
		{"long name", strings.Repeat("x", 80) + "token=1&" + strings.Repeat("y_", 40) + "key=2", strings.Repeat("x", 80) + "token=[redacted]&" + strings.Repeat("y_", 40) + "key=[redacted]"},
		{"Kelvin", "to\u212aen=x", "to\u212aen=[redacted]"},
		{"OIDC callback", "code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj&iss=https%3A%2F%2Fidp", "code=[redacted]&state=[redacted]&iss=https%3A%2F%2Fidp"},
	}
	for _, tt := range tests {
		if got := r.Query(tt.in); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
	if got := r.Query("a=" + strings.Repeat("x", 1<<20)); len(got) > 1<<16 {
		t.Errorf("a long query keeps %d bytes", len(got))
	}
}

func TestRedactPath(t *testing.T) {
	t.Parallel()
	r := audit.NewRedactor()
	tests := []struct{ in, want string }{
		{"/bookings/17", "/bookings/17"},
		{"", ""},
		{"/app;jsessionid=ABC/page", "/app;jsessionid=[redacted]/page"},
		{"/verify/" + jwt + "/done", "/verify/[redacted]/done"},
		{"/verify/%65yJhbGciOiJFUzI1NiJ9.x", "/verify/[redacted]"},
		{"/a%20b/c", "/a%20b/c"},
		{"/x%3Ftoken=abc", "/x%3Ftoken=[redacted]"},
		{"/k=v/password=x/y", "/k=v/password=[redacted]/y"},
		{"/token/abc", "/token/abc"},
	}
	for _, tt := range tests {
		if got := r.Path(tt.in); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestRedactPatterns: an operator's own patterns, on names and values, wherever these are recorded.
func TestRedactPatterns(t *testing.T) {
	t.Parallel()
	r := audit.NewRedactor()
	card, email := `\b(?:\d[ -]?){13,19}\b`, `[^@/\s]+@[^@/\s]+\.[a-z]{2,}`
	if err := r.Patterns([]string{`(?i)^cust.*no$`}, []string{card, email}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ in, want string }{
		{"a=1&CustomerNo=17&b=2", "a=1&CustomerNo=[redacted]&b=2"},
		{"cust%6Fmerno=17", "cust%6Fmerno=[redacted]"},
		{"q=4111+1111-1111%201111&b=2", "q=[redacted]&b=2"},
		{"q=41111111&id=12", "q=41111111&id=12"},
		{"to=sam%2540example.com", "to=[redacted]"},
		{"sam@example.com", "[redacted]"},
		{"tab=1;sam@example.com;x=2", "tab=1;[redacted]"},
		{"filter=%7B%22customerno%22:17%7D", "filter=[redacted]"},
		{"token=x&tab=1", "token=[redacted]&tab=1"},
	} {
		if got := r.Query(tt.in); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"/users/sam@example.com/edit", "/users/[redacted]/edit"},
		{"/users/sam%40example.com", "/users/[redacted]"},
		{"/cards/4111111111111111/pay", "/cards/[redacted]/pay"},
		{"/bookings/17", "/bookings/17"},
		{"/a;b/17", "/a;b/17"},
	} {
		if got := r.Path(tt.in); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct{ name, in, want string }{
		{"User-Agent", "Mozilla/5.0 (for sam@example.com by App)", "Mozilla/5.0 (for [redacted] by App)"},
		{"User-Agent", "Mozilla/5.0", "Mozilla/5.0"},
		{"User-Agent", "App/1.0 " + jwt, "[redacted]"},
		{"X-Api-Key", "abc", "[redacted]"},
	} {
		if got := r.Header(tt.name, tt.in); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
	agent := audit.NewRedactor("User-Agent")
	if got := agent.Header("User-Agent", "Mozilla/5.0"); got != "[redacted]" {
		t.Errorf("a header named: %q", got)
	}
	for pattern, want := range map[string]string{
		"a(b": "column 1", "ab[z-a]": "column 4", "x*": "matches nothing", "a{2000}": "column 2", strings.Repeat("a", 513): "at most 512",
	} {
		if err := audit.NewRedactor().Patterns(nil, []string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", pattern, err, want)
		}
	}
	if err := audit.NewRedactor().Patterns(nil, slices.Repeat([]string{"a"}, audit.MaxPatterns+1)); err == nil {
		t.Error("no bound on patterns")
	}
}

// FuzzRedactPatterns: what a pattern matches in a parameter's decoded value survives nowhere.
func FuzzRedactPatterns(f *testing.F) {
	f.Add("a=1&", "x", "&b=2")
	f.Add("/p;", "%", "/q")
	f.Add("%25", "+", ";=")
	r := audit.NewRedactor()
	if err := r.Patterns([]string{"^zz"}, []string{`q[0-9]{4}z`}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, name, after string) {
		const secret = "q1234z"
		for _, raw := range []string{before + "&" + name + "=" + secret + "&" + after, before + "&zz" + strings.NewReplacer("=", "", "&", "", ";", "").Replace(name) + "=" + secret + after} {
			if len(raw) < 4000 && strings.Contains(r.Query(raw), secret) {
				t.Errorf("%q becomes %q", raw, r.Query(raw))
			}
		}
		if raw := before + "/" + secret + "/" + after; len(raw) < 4000 && strings.Contains(r.Path(raw), secret) {
			t.Errorf("%q becomes %q", raw, r.Path(raw))
		}
		if len(before)+len(after) < 400 && strings.Contains(r.Header("User-Agent", before+secret+after), secret) {
			t.Errorf("%q becomes %q", before+secret+after, r.Header("User-Agent", before+secret+after))
		}
	})
}

// FuzzRedact: no secret survives, however its name is written and whatever stands around it.
func FuzzRedact(f *testing.F) {
	f.Add("a=1", "token", "b=2", uint64(0))
	f.Add("%", "x_Api-Key", ";", uint64(0xffff))
	f.Add("next=%2Fx%3F", "user[password]", "&&=", uint64(5))
	const secret = "s3cr3tv4lu3"
	names := []string{"token", "password", "client_secret", "state", "code", "sessionId", "sig", "apiKey"}
	f.Fuzz(func(t *testing.T, before, name, after string, how uint64) {
		r := audit.NewRedactor()
		name = strings.Map(func(c rune) rune {
			// What would end the parameter, or stop it from being one.
			if strings.ContainsRune("&;=#%", c) {
				return -1
			}
			return c
		}, name)
		key := name + "-" + names[how%8]
		if len(key) > 200 {
			return
		}
		how /= 8
		var b strings.Builder
		for i := range len(key) {
			if how>>(i%60)&1 == 1 || key[i] >= 0x80 {
				b.WriteString("%" + string("0123456789ABCDEF"[key[i]>>4]) + string("0123456789abcdef"[key[i]&15]))
			} else {
				b.WriteByte(key[i])
			}
		}
		if strings.Contains(before+after+key, secret) {
			return
		}
		for _, pair := range []string{b.String() + "=" + secret, "u=" + url.QueryEscape(b.String()+"="+secret)} {
			for _, query := range []string{pair, before + "&" + pair + "&" + after, pair + ";" + after, pair + after} {
				if len(query) > 8192 {
					continue
				}
				if got := r.Query(query); strings.Contains(decodeAll(got), secret) {
					t.Errorf("%q becomes %q", query, got)
				}
			}
			if got := r.Path("/x;" + pair + "/" + after); strings.Contains(decodeAll(got), secret) && !strings.Contains(pair, "/") {
				t.Errorf("path of %q becomes %q", pair, got)
			}
		}
	})
}

func decodeAll(s string) string {
	for range 4 {
		plain, err := url.QueryUnescape(s)
		if err != nil {
			return s
		}
		s = plain
	}
	return s
}

func BenchmarkRedact(b *testing.B) {
	r := audit.NewRedactor()
	for _, bb := range []struct{ name, query string }{
		{"empty", ""},
		{"one", "tab=checklist"},
		{"five", "page=2&size=50&sort=name&dir=asc&q=boiler+service"},
		{"secret", "code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Query(bb.query)
			}
		})
	}
}

// TestRedactField: a name is kept unless it would go as a value.
func TestRedactField(t *testing.T) {
	t.Parallel()
	r := audit.NewRedactor("iban")
	if err := r.Patterns([]string{"(?i)badge"}, []string{`[^@/\s]+@[^@/\s]+\.[a-z]{2,}`}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"title": "title", "password": "password", "iban": "iban", "Badge": "Badge", "user[name]": "user[name]", "": "",
		"a\x00b\nc": "a\uFFFDb c", "\xff\u202e": "\uFFFD\uFFFD", strings.Repeat("n", 300): strings.Repeat("n", 253) + "…",
		"sam@example.com": "", "user[sam%40example.com]": "", "eyJhbGciOiJIUzI1NiJ9.e30.x": "", "token=1": "", `{"password":"x"}`: "",
	} {
		got, secret := r.Field(name)
		if got != want || secret != (want == "" && name != "") {
			t.Errorf("%q: %q, %v, want %q", name, got, secret, want)
		}
	}
}

func BenchmarkRedactField(b *testing.B) {
	for name, patterns := range map[string][]string{
		"none": nil, "cards": {`\b(?:\d[ -]?){13,19}\b`}, "addresses": {`[^@/\s]+@[^@/\s]+\.[a-z]{2,}`},
	} {
		b.Run(name, func(b *testing.B) {
			r := audit.NewRedactor()
			if err := r.Patterns(nil, patterns); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, secret := r.Field("customer[street_name]"); secret {
					b.Fatal("secret")
				}
			}
		})
	}
}
