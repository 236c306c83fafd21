package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/login"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

const extendCurrent = apiRoot + "/impersonations/current/extend"

// serveExtend is the banner's "Extend" without script. It leads back to the page it was pressed on.
func (p *portal) serveExtend(w http.ResponseWriter, r *http.Request, v *viewer) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, badRequest("The form could not be read."))
		return
	}
	press, ok := pressOf(r.PostForm.Get("press"))
	if !ok {
		problem.Write(w, r, badRequest("press: give a number, from 1"))
		return
	}
	if v.live == nil { // the time was over first
		http.Redirect(w, r, p.landing(r, v.session), http.StatusSeeOther)
		return
	}
	_, err := p.Impersonations.Extend(r.Context(), v.live, press, p.ClientIP(r))
	ended := new(impersonation.Ended)
	switch refusal := policy.AsRefusal(err); {
	case err == nil:
		http.Redirect(w, r, pageBefore(r, p.Site(r)), http.StatusSeeOther)
	case errors.As(err, &ended):
		http.Redirect(w, r, p.landing(r, v.session), http.StatusSeeOther)
	case refusal != nil:
		problem.Write(w, r, notExtended(refusal, pageBefore(r, p.Site(r))))
	default:
		p.fail(w, r, "extending an impersonation", err, problem.Return)
	}
}

// apiExtend is the same for the banner's script, and for programs.
func (p *portal) apiExtend(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Press int `json:"press"`
	}
	if r.ContentLength != 0 {
		if bad := decode(w, r, &body, "press"); bad != nil {
			problem.Write(w, r, bad)
			return
		}
	}
	if body.Press < 0 {
		problem.Write(w, r, badRequest("press: give a number, from 1"))
		return
	}
	if v.live == nil {
		problem.Write(w, r, notFound())
		return
	}
	live, err := p.Impersonations.Extend(r.Context(), v.live, body.Press, p.ClientIP(r))
	ended := new(impersonation.Ended)
	switch refusal := policy.AsRefusal(err); {
	case err == nil:
		left, _ := live.Extension()
		answer(w, http.StatusOK, struct {
			*impersonationJSON
			ExtensionsLeft int `json:"extensions_left"`
		}{v.impersonationOf(&live.Impersonation), left})
	case refusal != nil:
		problem.Write(w, r, notExtended(refusal, ""))
	case errors.As(err, &ended):
		problem.Write(w, r, notFound())
	default:
		p.fail(w, r, "extending an impersonation", err)
	}
}

func pressOf(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0
}

// pageBefore is the page of this site that the form was on, as far as the browser tells; else the app's first.
func pageBefore(r *http.Request, site string) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Scheme+"://"+u.Host != site {
		return "/"
	}
	return login.SafeReturnTo(u.RequestURI())
}

func notExtended(refusal *policy.Refusal, page string) *problem.Problem {
	p := refused(refusal)
	p.Title = "The time can’t be extended"
	p.Links = []problem.Link{problem.Return}
	if page != "" {
		p.Links = slices.Insert(p.Links, 0, problem.Link{Text: "Back to the page", Href: page})
	}
	return p
}

// apiBanner takes what the banner's script says when it can't keep the banner in sight.
func (p *portal) apiBanner(w http.ResponseWriter, r *http.Request, v *viewer) {
	var body struct {
		Why  string `json:"why"`
		Path string `json:"path"`
	}
	if bad := decode(w, r, &body, "why", "path"); bad != nil {
		problem.Write(w, r, bad)
		return
	}
	if !slices.Contains(impersonation.WhyMissing, body.Why) {
		problem.Write(w, r, badRequest("why: not one of those there are"))
		return
	}
	if v.live == nil {
		problem.Write(w, r, notFound())
		return
	}
	if _, err := p.Impersonations.ReportBanner(r.Context(), v.live, pathOnly(body.Path), body.Why, p.ClientIP(r)); err != nil {
		p.fail(w, r, "recording a missing banner", err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// pathOnly leaves out what may be secret.
func pathOnly(s string) string {
	for i, c := range s {
		if c == '?' || c == '#' {
			return s[:i]
		}
	}
	return s
}
