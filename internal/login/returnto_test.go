package login

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

func TestSafeReturnTo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"/", "/"},
		{"/work", "/work"},
		{"/work?a=1&b=%2F#part", "/work?a=1&b=%2F#part"},
		{"/a//b", "/a//b"},
		{"/https://idp.test/", "/https://idp.test/"},
		{"/?next=//evil.test", "/?next=//evil.test"},
		{"/.impersonate/", "/.impersonate/"},
		{"/.impersonate/?target=sam", "/.impersonate/?target=sam"},
		{"/Zürich/übersicht?q=ä", "/Z%C3%BCrich/%C3%BCbersicht?q=%C3%A4"},
		{"/a b\"<>`", "/a%20b%22%3C%3E%60"},
		{"/@evil.test", "/@evil.test"},
		{"/..work", "/..work"},

		{"", "/"},
		{"work", "/"},
		{"https://evil.test/", "/"},
		{"HTTPS:evil.test", "/"},
		{"javascript:alert(1)", "/"},
		{"//evil.test", "/"},
		{"///evil.test", "/"},
		{"/\\evil.test", "/"},
		{"\\/evil.test", "/"},
		{"\\\\evil.test", "/"},
		{"/work\\..\\", "/"},
		{"/work?a=\\", "/"},
		{"/\t/evil.test", "/"},
		{"/\n/evil.test", "/"},
		{"/\r\nSet-Cookie: a=b", "/"},
		{"\t//evil.test", "/"},
		{" //evil.test", "/"},
		{" /work", "/"},
		{"/\x00", "/"},
		{"/\x7f", "/"},
		{"/\xff", "/"},
		{"/%2f/evil.test", "/"},
		{"/%2F%2Fevil.test", "/"},
		{"/%5cevil.test", "/"},
		{"/%5C%5Cevil.test", "/"},
		{"/%09/evil.test", "/"},
		{"/%0d%0aSet-Cookie:a", "/"},
		{"/%00", "/"},
		{"/%zz", "/"},
		{"/#%", "/"},
		{"/.//evil.test", "/"},
		{"/..//evil.test", "/"},
		{"/a/..//evil.test", "/"},
		{"/%2e%2e//evil.test", "/"},
		{"/a/%2E%2e/%2fevil.test", "/"},
		{"/work/..", "/"},
		{"/.impersonate/login?return_to=/.impersonate/login", "/"},
		{"/.impersonate/%6cogin", "/"},
		{"/.impersonate/logout", "/"},
		{"/.impersonate/callback?code=x", "/"},
		{"/.impersonate/stop", "/"},
		{"/" + strings.Repeat("x", maxReturnTo), "/"},
		{"/" + strings.Repeat("ü", maxReturnTo/4), "/"},
	} {
		if got := SafeReturnTo(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// tricks are what attackers build such addresses from.
var tricks = []string{
	"/", "//", "\\", "/\\", "%2f", "%2F", "%5c", "%5C", ".", "..", "/.", "/..", "%2e", "%2E%2e", "\t", "\n", "\r", "%09", "%0a", "%0d", "%00", "\x00",
	" ", "%20", "@", ":", "#", "?", ";", "&", "http:", "https:", "javascript:", "evil.test", "evil.test:80", "[::1]", "user:pw@", "work", "\u2215",
	"\uff0f", "\u3002", "\u00a0", "\u200b", "\ufeff", "ü", "%c3%bc", "%ff", "%u002f", "%252f", "%25", "%", "a", "//evil.test", "/.impersonate/login", "|", "^",
}

// TestSafeReturnToInRealParser holds the answer to a parser that follows the WHATWG's standard, as browsers do: node's.
func TestSafeReturnToInRealParser(t *testing.T) {
	t.Parallel()
	const bases = `["https://app.test","https://app.test/.impersonate/callback?code=x","http://localhost:8080/a/b/"]`
	rng := rand.New(rand.NewPCG(1, 2))
	inputs := []string{"/"}
	for range 20_000 {
		var b strings.Builder
		for range 1 + rng.IntN(8) {
			b.WriteString(tricks[rng.IntN(len(tricks))])
		}
		inputs = append(inputs, b.String(), "/"+b.String())
	}
	outputs := make([]string, len(inputs))
	passed := 0
	for i, in := range inputs {
		outputs[i] = SafeReturnTo(in)
		if outputs[i] != "/" {
			passed++
		}
	}
	if passed < 1000 {
		t.Fatalf("only %d of %d inputs are let through: this tests nothing", passed, len(inputs))
	}
	stdin, err := json.Marshal(outputs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "-e", `
		const outputs = JSON.parse(require('fs').readFileSync(0));
		const bad = new Set();
		for (const base of `+bases+`) for (const o of outputs) {
			const u = new URL(o, base);
			if (u.origin !== new URL(base).origin || u.username || u.pathname.startsWith('//') || u.pathname.includes('\\')) bad.add(o);
		}
		console.log(JSON.stringify([...bad]));`)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running node: %v", err)
	}
	var bad []string
	if err := json.Unmarshal(out, &bad); err != nil {
		t.Fatal(err)
	}
	for _, o := range bad {
		t.Errorf("%q leads elsewhere", o)
	}
}

func FuzzSafeReturnTo(f *testing.F) {
	for _, s := range tricks {
		f.Add(s)
		f.Add("/" + s)
		f.Add("/" + s + "/evil.test")
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := SafeReturnTo(in)
		if again := SafeReturnTo(out); again != out {
			t.Errorf("%q: %q, then %q", in, out, again)
		}
		if len(out) > maxReturnTo {
			t.Errorf("%q: %d bytes", in, len(out))
		}
		for i := range len(out) {
			if c := out[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' {
				t.Errorf("%q: %q holds %q", in, out, c)
			}
		}
		base, _ := url.Parse("https://app.test/.impersonate/callback")
		u, err := base.Parse(out)
		if err != nil || u.Scheme != "https" || u.Host != "app.test" || u.User != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
			t.Errorf("%q: %q leads to %v (%v)", in, out, u, err)
		}
		if out[0] != '/' || strings.HasPrefix(out, "//") {
			t.Errorf("%q: %q is no path", in, out)
		}
	})
}
