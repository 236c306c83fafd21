package banner

import (
	"net/http"
	"slices"
	"strings"
)

// Paths under the site's origin that the banner uses; its files are in assets.go.
const (
	pathPortal  = "/.impersonate/"
	pathHistory = "/.impersonate/history"
	pathStop    = "/.impersonate/stop"
	pathExtend  = "/.impersonate/extend"
	pathMe      = "/.impersonate/api/v1/me"
	pathReport  = "/.impersonate/api/v1/banner"
	pathMore    = "/.impersonate/api/v1/impersonations/current/extend"
	pathEnded   = "/.impersonate/ended"
)

// grants is what the policies of a page leave to the banner, and what they are given for it.
type grants struct {
	origin string
	// extend: the banner offers to extend the time.
	extend bool
	// The page's own nonces, put on the banner's script and stylesheet.
	scriptNonce, styleNonce string
	// noScript: the page lets no script of ours run; the banner does without.
	noScript bool
	// noForm: forms can't be submitted, or not as the site's own; a link to the portal stands in.
	noForm bool
	// noFrame: the page may not have a frame of the site's own, or only one in a sandbox.
	noFrame bool
}

// expressible tells whether a policy can name the origin at all: not an IPv6 address.
func (g *grants) expressible() bool {
	return g.origin != "" && !strings.ContainsAny(g.origin, "[]*'\"; ,\t\r\n")
}

const cspHeader = "Content-Security-Policy"

// adjustHeaders changes every policy of the response by the least that lets the banner work: the exact URLs of its own
// script, stylesheet, calls and form, where neither a nonce of the page's own nor a source in the policy does.
// No nonce and no hash is added, since either switches 'unsafe-inline' off, and no keyword.
// Report-only policies are left alone: they forbid nothing.
func (g *grants) adjustHeaders(h http.Header) {
	values := h[cspHeader]
	if len(values) == 0 {
		return
	}
	for _, v := range values {
		for p := range strings.SplitSeq(v, ",") {
			g.inspect(parsePolicy(p), false)
		}
	}
	for _, v := range values {
		for p := range strings.SplitSeq(v, ",") {
			g.inspectStrict(parsePolicy(p))
		}
	}
	out := make([]string, len(values))
	for i, v := range values {
		var policies []string
		for p := range strings.SplitSeq(v, ",") {
			policies = append(policies, g.adjust(parsePolicy(p)))
		}
		out[i] = strings.Join(policies, ",")
	}
	h[cspHeader] = out
}

// adjustMeta is adjustHeaders for one policy in a <meta> of the head.
func (g *grants) adjustMeta(policy string) string {
	p := parsePolicy(policy)
	g.inspect(p, true)
	g.inspectStrict(p)
	return g.adjust(p)
}

// policy is one policy, as a list of directives, each with its name in lower case and its sources.
type policy struct {
	text []string // as written, between the semicolons
	name []string
}

func parsePolicy(s string) policy {
	var p policy
	for d := range strings.SplitSeq(s, ";") {
		p.text = append(p.text, d)
		name := ""
		if f := strings.Fields(d); len(f) > 0 {
			name = strings.ToLower(f[0])
		}
		if slices.Contains(p.name, name) {
			name = "" // a repeated directive is ignored
		}
		p.name = append(p.name, name)
	}
	return p
}

// effective is the first of the directives that the policy has, and its sources; -1: none, anything goes.
func (p *policy) effective(names ...string) (int, []string) {
	for _, name := range names {
		if i := slices.Index(p.name, name); i >= 0 {
			return i, strings.Fields(p.text[i])[1:]
		}
	}
	return -1, nil
}

var (
	scriptDirectives  = []string{"script-src-elem", "script-src", "default-src"}
	styleDirectives   = []string{"style-src-elem", "style-src", "default-src"}
	connectDirectives = []string{"connect-src", "default-src"}
	formDirectives    = []string{"form-action"}
	frameDirectives   = []string{"frame-src", "child-src", "default-src"}
)

// inspect takes the first nonces there are, and what a sandbox forbids (which only headers can).
func (g *grants) inspect(p policy, meta bool) {
	_, script := p.effective(scriptDirectives...)
	if g.scriptNonce == "" {
		g.scriptNonce = nonceOf(script)
	}
	_, style := p.effective(styleDirectives...)
	if g.styleNonce == "" {
		g.styleNonce = nonceOf(style)
	}
	if at, sources := p.effective(frameDirectives...); at >= 0 && !g.matches(sources) {
		g.noFrame = true
	}
	if meta {
		return
	}
	if at, allow := p.effective("sandbox"); at >= 0 {
		g.noFrame = true
		g.noScript = g.noScript || !hasToken(allow, "allow-scripts")
		// Without allow-same-origin the form would come from nowhere, as a forged one does.
		g.noForm = g.noForm || !hasToken(allow, "allow-forms") || !hasToken(allow, "allow-same-origin")
	}
}

// inspectStrict finds out, the nonce being chosen, whether a policy runs only what a script of its own lets in.
func (g *grants) inspectStrict(p policy) {
	_, sources := p.effective(scriptDirectives...)
	if hasToken(sources, "'strict-dynamic'") && !hasNonce(sources, g.scriptNonce) {
		g.noScript = true
	}
}

// adjust returns the policy with what is missing.
func (g *grants) adjust(p policy) string {
	if !g.expressible() {
		return strings.Join(p.text, ";")
	}
	if !g.noScript {
		g.allow(&p, scriptDirectives, g.origin+assetScript.path, g.scriptNonce)
		g.allow(&p, connectDirectives, g.origin+pathMe, "")
		g.allow(&p, connectDirectives, g.origin+pathReport, "")
		if g.extend {
			g.allow(&p, connectDirectives, g.origin+pathMore, "")
		}
	}
	g.allow(&p, styleDirectives, g.origin+assetStyle.path, g.styleNonce)
	if !g.noForm {
		g.allow(&p, formDirectives, g.origin+pathStop, "")
		if g.extend {
			g.allow(&p, formDirectives, g.origin+pathExtend, "")
		}
	}
	return strings.Join(p.text, ";")
}

// allow adds url to the first of the directives the policy has, unless that allows it. What default-src says is copied
// to the most specific directive, so that nothing else comes to be allowed with it.
func (g *grants) allow(p *policy, directives []string, url, nonce string) {
	at, sources := p.effective(directives...)
	if at < 0 || hasNonce(sources, nonce) || g.matches(sources) {
		return
	}
	if p.name[at] == "default-src" {
		text := " " + directives[0]
		for _, s := range sources {
			if strings.EqualFold(s, "'none'") || directives[0] == "connect-src" && s[0] == '\'' {
				continue
			}
			text += " " + s
		}
		p.text = append(p.text, text+" "+url)
		p.name = append(p.name, directives[0])
		return
	}
	if len(sources) == 0 || len(sources) == 1 && strings.EqualFold(sources[0], "'none'") {
		lead := p.text[at][:len(p.text[at])-len(strings.TrimLeft(p.text[at], " \t\r\n\f"))]
		p.text[at] = lead + strings.Fields(p.text[at])[0] + " " + url
		return
	}
	p.text[at] = strings.TrimRight(p.text[at], " \t\r\n\f") + " " + url
}

// matches tells whether the sources allow all of the site's own origin.
func (g *grants) matches(sources []string) bool {
	scheme, _, _ := strings.Cut(g.origin, "//")
	for _, s := range sources {
		switch {
		case s == "*", strings.EqualFold(s, "'self'"), strings.EqualFold(s, scheme), strings.EqualFold(s, "http:"),
			strings.EqualFold(strings.TrimSuffix(s, "/"), g.origin):
			return true
		}
	}
	return false
}

func hasToken(list []string, token string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, token) })
}

func hasNonce(sources []string, nonce string) bool {
	return nonce != "" && slices.ContainsFunc(sources, func(s string) bool { return nonceOf([]string{s}) == nonce })
}

// nonceOf is the first nonce in a list of sources; one that is not base64 is none.
func nonceOf(sources []string) string {
	const prefix = "'nonce-"
	for _, s := range sources {
		if len(s) <= len(prefix)+1 || !strings.EqualFold(s[:len(prefix)], prefix) || s[len(s)-1] != '\'' {
			continue
		}
		nonce := s[len(prefix) : len(s)-1]
		if strings.Trim(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=") == "" {
			return nonce
		}
	}
	return ""
}
