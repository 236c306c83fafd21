package banner

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestPolicies(t *testing.T) {
	const (
		script = "SCRIPT"
		style  = "STYLE"
		me     = "ME"
		stop   = "STOP"
	)
	expand := strings.NewReplacer(
		script, testInfo.Origin+assetScript.path, style, testInfo.Origin+assetStyle.path,
		me, testInfo.Origin+pathMe+" "+testInfo.Origin+pathReport, stop, testInfo.Origin+pathStop,
	)
	for _, tt := range []struct {
		name, policy, want       string
		scriptNonce, styleNonce  string
		noScript, noForm, noMeta bool
	}{
		{name: "no say in it", policy: "img-src 'none'; frame-ancestors 'self'"},
		{name: "self", policy: "default-src 'self'"},
		{name: "self, in capitals", policy: "Default-Src 'SELF' cdn.example.com; FORM-ACTION 'Self'"},
		{name: "anything", policy: "default-src *; script-src https:; form-action https://app.example.com"},
		{
			name: "nothing", policy: "default-src 'none'",
			want: "default-src 'none'; script-src-elem SCRIPT; connect-src ME; style-src-elem STYLE",
		},
		{
			name: "nothing, each", policy: "script-src 'none'; style-src 'NONE';connect-src 'none'; form-action 'none'",
			want: "script-src SCRIPT; style-src STYLE;connect-src ME; form-action STOP",
		},
		{
			name: "empty lists", policy: "script-src; style-src ;form-action",
			want: "script-src SCRIPT; style-src STYLE;form-action STOP",
		},
		{
			name: "other hosts", policy: "default-src 'none'; script-src cdn.example.com; style-src 'unsafe-inline'; connect-src api.example.com",
			want: "default-src 'none'; script-src cdn.example.com SCRIPT; style-src 'unsafe-inline' STYLE; connect-src api.example.com ME",
		},
		{
			name: "unsafe-inline stays what it is", policy: "script-src 'unsafe-inline' cdn.example.com; style-src 'self'",
			want: "script-src 'unsafe-inline' cdn.example.com SCRIPT; style-src 'self'",
		},
		{
			name: "default copied", policy: "default-src cdn.example.com 'unsafe-inline' data:; form-action 'self'",
			want: "default-src cdn.example.com 'unsafe-inline' data:; form-action 'self'; script-src-elem cdn.example.com 'unsafe-inline' data: SCRIPT; connect-src cdn.example.com data: ME; style-src-elem cdn.example.com 'unsafe-inline' data: STYLE",
		},
		{
			name: "the most specific", policy: "script-src 'none'; script-src-elem a.example; style-src-elem b.example; style-src 'self'",
			want: "script-src 'none'; script-src-elem a.example SCRIPT; style-src-elem b.example STYLE; style-src 'self'",
		},
		{name: "nonce", policy: "script-src 'nonce-abc='; style-src 'nonce-Def'", scriptNonce: "abc=", styleNonce: "Def"},
		{name: "nonce by default", policy: "default-src 'nonce-abc'; connect-src 'self'", scriptNonce: "abc", styleNonce: "abc"},
		{name: "strict-dynamic with nonce", policy: "script-src 'nonce-abc' 'strict-dynamic' https:", scriptNonce: "abc"},
		{
			name: "strict-dynamic with hashes only", noScript: true,
			policy: "script-src 'sha256-AAAA' 'strict-dynamic'; connect-src 'none'; style-src x.example",
			want:   "script-src 'sha256-AAAA' 'strict-dynamic'; connect-src 'none'; style-src x.example STYLE",
		},
		{
			name: "hashes", policy: "script-src 'sha256-AAAA'; style-src 'sha256-BBBB'",
			want: "script-src 'sha256-AAAA' SCRIPT; style-src 'sha256-BBBB' STYLE",
		},
		{
			name: "a nonce that is none", policy: `script-src 'nonce-"><x'; style-src 'self'`,
			want: `script-src 'nonce-"><x' SCRIPT; style-src 'self'`,
		},
		{
			name: "two policies, one nonce", policy: "script-src 'nonce-abc', script-src cdn.example.com 'nonce-xyz'", scriptNonce: "abc", noMeta: true,
			want: "script-src 'nonce-abc', script-src cdn.example.com 'nonce-xyz' SCRIPT",
		},
		{
			name: "two policies, strict", policy: "script-src 'nonce-abc', script-src 'strict-dynamic' 'nonce-xyz'", scriptNonce: "abc", noScript: true, noMeta: true,
		},
		{name: "repeated directive", policy: "script-src 'self'; script-src 'none'"},
		{name: "sandbox", policy: "sandbox", noScript: true, noForm: true, noMeta: true},
		{name: "sandbox with scripts", policy: "sandbox allow-scripts; form-action 'none'", noForm: true, noMeta: true},
		{name: "sandbox of another origin", policy: "sandbox allow-scripts allow-forms", noForm: true, noMeta: true},
		{name: "sandbox with all", policy: "sandbox allow-scripts allow-forms Allow-Same-Origin", noMeta: true},
		{name: "trusted types", policy: "require-trusted-types-for 'script'; trusted-types 'none'"},
		{name: "odd spaces", policy: " ;; script-src\tx.example ;", want: " ;; script-src\tx.example SCRIPT;"},
		{name: "empty", policy: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := expand.Replace(tt.want)
			if tt.want == "" {
				want = tt.policy
			}
			h := http.Header{cspHeader: {"img-src 'self'", tt.policy}, "Content-Security-Policy-Report-Only": {tt.policy}}
			g := grants{origin: testInfo.Origin}
			g.adjustHeaders(h)
			if got := h[cspHeader]; !slices.Equal(got, []string{"img-src 'self'", want}) {
				t.Errorf("%q\n got %q\nwant %q", tt.policy, got[1], want)
			}
			if h.Get("Content-Security-Policy-Report-Only") != tt.policy {
				t.Error("the report-only policy changed")
			}
			wantGrants := grants{origin: testInfo.Origin, scriptNonce: tt.scriptNonce, styleNonce: tt.styleNonce, noScript: tt.noScript, noForm: tt.noForm}
			g.noFrame = false
			if g != wantGrants {
				t.Errorf("%+v, want %+v", g, wantGrants)
			}
			// The same in a <meta>.
			if tt.noMeta {
				return
			}
			g = grants{origin: testInfo.Origin}
			if got := g.adjustMeta(tt.policy); got != want {
				t.Errorf("meta: %q, want %q", got, want)
			}
		})
	}
	t.Run("more where the time can be extended", func(t *testing.T) {
		h := http.Header{cspHeader: {"connect-src 'none'; form-action 'none'"}}
		g := grants{origin: testInfo.Origin, extend: true}
		g.adjustHeaders(h)
		o := testInfo.Origin
		want := "connect-src " + o + pathMe + " " + o + pathReport + " " + o + pathMore + "; form-action " + o + pathStop + " " + o + pathExtend
		if got := h.Get(cspHeader); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("an origin no policy can name", func(t *testing.T) {
		h := http.Header{cspHeader: {"default-src 'none'"}}
		g := grants{origin: "http://[::1]:8080"}
		if g.adjustHeaders(h); h.Get(cspHeader) != "default-src 'none'" {
			t.Error(h)
		}
	})
}

func TestMetaPolicies(t *testing.T) {
	script := testInfo.Origin + assetScript.path
	for _, tt := range []struct{ name, tag, want string }{
		{
			"quoted", `<meta http-equiv="Content-Security-Policy" content="script-src 'none'">`,
			`<meta http-equiv="Content-Security-Policy" content="script-src ` + script + `">`,
		},
		{
			"escaped, the other way round", `<META CONTENT='script-src &#39;unsafe-inline&apos;' x=1 Http-Equiv=content-security-policy>`,
			`<META CONTENT="script-src &#39;unsafe-inline&#39; ` + script + `" x=1 Http-Equiv=content-security-policy>`,
		},
		{
			"unquoted", `<meta http-equiv=Content-Security-Policy content=script-src&#32;x.example>`,
			`<meta http-equiv=Content-Security-Policy content="script-src x.example ` + script + `">`,
		},
		{"nothing to do", `<meta http-equiv="Content-Security-Policy" content="script-src 'self'">`, ""},
		{"report only", `<meta http-equiv="Content-Security-Policy-Report-Only" content="script-src 'none'">`, ""},
		{"other", `<meta http-equiv="refresh" content="5; url=/Content-Security-Policy">`, ""},
		{"named", `<meta name="http-equiv Content-Security-Policy" content="script-src 'none'">`, ""},
		{"in a comment", `<!-- <meta http-equiv="Content-Security-Policy" content="script-src 'none'"> -->`, ""},
		{"in a template", `<template><meta http-equiv="Content-Security-Policy" content="script-src 'none'"></template>`, ""},
		{"in a script", `<script>'<meta http-equiv="Content-Security-Policy" content="script-src none">'</script>`, ""},
		{"twice the attribute", `<meta http-equiv="refresh" http-equiv="Content-Security-Policy" content="script-src 'none'">`, ""},
		{"not ASCII", "<meta http-equiv=\"Content-Security-Policy\" content=\"script-src \xe4.example\">", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				tt.want = tt.tag
			}
			doc := "<head><title>x</title>" + tt.tag + "<link>\n"
			want := "<head><title>x</title>" + tt.want + "<link>\n"
			for _, pieces := range [][]string{{doc, "<p>"}, {doc + "<p>"}, strings.Split(doc+"<p>", "")} {
				rec, w, err := response(t, with(htmlType, "Content-Length", "1000"), Options{}, pieces...)
				if err != nil || !w.Marked() {
					t.Fatal(err, w.Marked())
				}
				head, _, _ := strings.Cut(rec.Body.String(), "<impersonate-banner")
				if head != want {
					t.Errorf("%d pieces:\n got %s\nwant %s", len(pieces), head, want)
				}
			}
		})
	}
	t.Run("its nonce", func(t *testing.T) {
		rec, _, err := response(t, htmlType, Options{}, `<meta http-equiv="Content-Security-Policy" content="script-src 'nonce-abc'">x`)
		if err != nil || !strings.Contains(rec.Body.String(), `.js" nonce="abc"></script>`) {
			t.Errorf("%v: %s", err, rec.Body)
		}
	})
}
