//go:build browser

package banner

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPoliciesInBrowser: under each policy the banner works as far as the policy can let it, and of the page's own
// scripts, styles, requests and forms the same are blocked and allowed as without the banner.
func TestPoliciesInBrowser(t *testing.T) {
	const ran = `document.documentElement.dataset.%s = ""`
	files := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		fmt.Fprintf(w, ran, strings.Trim(r.URL.Path, "/.js"))
	})
	other := httptest.NewServer(files)
	defer other.Close()
	const hashed = `document.documentElement.dataset.hashed = ""`
	const hash = "'sha256-d4ToPXEYJaQShzmW+am7XyxKE+JbJPsljBIbjQtcamk='"
	page := func(meta string) string {
		return `<!DOCTYPE html><html><head><title>x</title>` + meta + `<style>p{color:rgb(1,2,3)}</style></head><body>
			<script>` + fmt.Sprintf(ran, "inline") + `</script><script>` + hashed + `</script>
			<script nonce="abc">` + fmt.Sprintf(ran, "nonce") + `;
				try { eval("1"); ` + fmt.Sprintf(ran, "eval") + ` } catch {}
				try { document.body.insertAdjacentHTML("beforeend", "<i></i>"); ` + fmt.Sprintf(ran, "sink") + ` } catch {}
				const s = document.createElement("script"); try { s.src = "/app/dynamic.js"; document.head.append(s); } catch {}
				window.settled = Promise.allSettled([
					fetch("/app/fetched.js").then(() => { ` + fmt.Sprintf(ran, "fetched") + ` }),
					fetch("` + other.URL + `/fetched.js").then(() => { ` + fmt.Sprintf(ran, "fetchedOther") + ` }),
				]);
			</script>
			<script src="/app/own.js"></script><script src="` + other.URL + `/other.js"></script>
			<p id="p" style="font-size:33px" onclick='` + fmt.Sprintf(ran, "handler") + `'>x</p></body></html>`
	}
	type policy struct {
		name    string
		headers []string
		meta    string
		live    bool // the banner's script runs
		styled  bool
	}
	policies := []policy{
		{"none", nil, "", true, true},
		{"self", []string{"default-src 'self'"}, "", true, true},
		{"nothing allowed", []string{"default-src 'none'"}, "", true, true},
		{"nothing allowed, each", []string{"script-src 'none'; style-src 'none'; connect-src 'none'; form-action 'none'"}, "", true, true},
		{"inline allowed", []string{"default-src 'unsafe-inline' 'unsafe-eval'"}, "", true, true},
		{"inline and others allowed", []string{"script-src 'unsafe-inline' " + other.URL + "; style-src 'unsafe-inline'"}, "", true, true},
		{"nonce", []string{"script-src 'nonce-abc'; style-src 'nonce-abc'"}, "", true, true},
		{"nonce, scripts only", []string{"script-src 'nonce-abc' 'unsafe-inline'; style-src 'unsafe-inline'"}, "", true, true},
		{"nonce and strict-dynamic", []string{"script-src 'nonce-abc' 'strict-dynamic' 'unsafe-inline' https:; connect-src 'none'"}, "", true, true},
		{"hash", []string{"default-src 'none'; script-src " + hash}, "", true, true},
		{"hash and strict-dynamic", []string{"script-src " + hash + " 'strict-dynamic'; style-src 'none'"}, "", false, true},
		{"elements", []string{"script-src 'unsafe-inline'; script-src-elem 'nonce-xyz'; style-src-elem 'none'"}, "", true, true},
		{"several headers", []string{"script-src 'nonce-abc' 'unsafe-eval'", "default-src 'nonce-abc' " + other.URL, "style-src 'unsafe-inline'"}, "", true, true},
		{"several in one", []string{"script-src 'nonce-abc', script-src 'nonce-abc' 'strict-dynamic', connect-src 'none'"}, "", true, true},
		{"trusted types", []string{"require-trusted-types-for 'script'; trusted-types 'none'; script-src 'nonce-abc'"}, "", true, true},
		{"meta", nil, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'nonce-abc'">`, true, true},
		{"meta, nothing allowed", nil, `<meta http-equiv=Content-Security-Policy content="default-src 'none'">`, true, true},
		{"meta and header", []string{"script-src 'unsafe-inline'"}, `<meta content="style-src 'none'; script-src 'unsafe-inline'" http-equiv="Content-Security-Policy">`, true, true},
		{"report only", []string{""}, "", true, true},
		{"sandbox with all", []string{"sandbox allow-scripts allow-same-origin allow-forms; default-src 'none'"}, "", true, true},
		{"sandbox without scripts", []string{"sandbox allow-same-origin; style-src 'none'"}, "", false, true},
	}
	a := newApp(t)
	a.pages["/.impersonate/stop"] = testPage{bare: true, body: "stopped"}
	var checks []check
	for i, p := range policies {
		path := fmt.Sprintf("/page%d", i)
		for _, bare := range []bool{true, false} {
			tp := testPage{body: page(p.meta), bare: bare, headers: map[string]string{"Set-Headers": strings.Join(p.headers, "\n")}}
			if p.name == "report only" {
				tp.headers = map[string]string{"Content-Security-Policy-Report-Only": "default-src 'none'"}
			}
			if p.name == "none" {
				tp.headers = map[string]string{"Integrity-Policy": "blocked-destinations=(script)"}
			}
			name := path
			if bare {
				name = "/bare" + path
			}
			a.pages[name] = tp
			const probes = `await win.settled; const ran = Object.keys(doc.documentElement.dataset); if (doc.readyState !== "complete") ran.push(doc.readyState);
				doc.getElementById("p").click(); const s = win.getComputedStyle(doc.getElementById("p"));
				const all = [...new Set([...ran, ...Object.keys(doc.documentElement.dataset)])].sort().join() + " " + s.color + " " + s.fontSize; `
			c := check{Name: name, Path: name, Check: probes + `return all`}
			if !bare {
				c.Live = p.live
				// The form is tried last: the frame shows its answer, or stays.
				c.Check = probes + `const live = host().dataset.live === "", styled = win.getComputedStyle(find(".bar")).position === "fixed";
					let form = find("form"), went = "link"; if (form) { form.target = "_self"; const from = path(); find(".stop").click(); try { await until(() => path() !== from); went = path() } catch { went = "blocked" } }
					return [all, live, styled, went]`
			}
			checks = append(checks, c)
		}
	}
	a.files = files
	results := driveChecks(t, a, checks)
	for i, p := range policies {
		path := fmt.Sprintf("/page%d", i)
		got, ok := results[path].([]any)
		if !ok {
			t.Errorf("%s: %v", p.name, results[path])
			continue
		}
		if got[0] != results["/bare"+path] {
			t.Errorf("%s: ran %q with the banner, %q without", p.name, got[0], results["/bare"+path])
		}
		went := "/.impersonate/stop"
		if strings.Contains(p.name, "sandbox without") {
			went = "link"
		}
		if got[1] != p.live || got[2] != p.styled || got[3] != went {
			t.Errorf("%s: live %v, styled %v, the form went to %v", p.name, got[1], got[2], got[3])
		}
		t.Logf("%-28s %v", p.name, got)
	}
}
