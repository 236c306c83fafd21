package portal

import (
	"net/http"
	"net/url"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

// Codes of the problems answered here (see problem.TypePrefix). They are stable.
const (
	codeLoginRequired = "login-required"
	codeDeactivated   = "account-deactivated"
	codeCrossOrigin   = "cross-origin"
	codeNotFound      = "not-found"
	codeMethod        = "method-not-allowed"
	codeNotAvailable  = "not-available"
	codeBadRequest    = "bad-request"
	codeTooLarge      = "too-large"
	codeMediaType     = "unsupported-media-type"
	codeRefused       = "impersonation-refused"
	codeStepUp        = "step-up-required"
	codeForbidden     = "forbidden"
	codeFavourites    = "favourites-full"
	codeUnavailable   = "unavailable"
	codeTooShort      = "retention-too-short"
	codeConflict      = "changed-meanwhile"
)

var toPortal = problem.Link{Text: "Back to the list of people", Href: root + "/"}

func loginRequired(login string) *problem.Problem {
	return &problem.Problem{
		Code: codeLoginRequired, Status: http.StatusUnauthorized, Title: "Log in first",
		Detail: "You are not logged in here, or your session has ended.",
		Links:  []problem.Link{{Text: "Log in", Href: login}}, Extra: map[string]any{"login": login},
	}
}

// deactivated still offers the way back: it works for whoever lost every right.
func deactivated() *problem.Problem {
	return &problem.Problem{
		Code: codeDeactivated, Status: http.StatusForbidden, Title: "Your account is deactivated",
		Detail: "The directory says that this account is no longer active. If that is a mistake, ask whoever manages accounts.",
		Extra:  map[string]any{"refusal": refusalJSON{policy.RefusedActorInactive, "Your account is deactivated."}},
	}
}

func notFound() *problem.Problem {
	return &problem.Problem{
		Code: codeNotFound, Status: http.StatusNotFound, Title: "Nothing here",
		Detail: "There is no such page or object, or it is not yours to see.", Links: []problem.Link{toPortal},
	}
}

func methodNotAllowed(w http.ResponseWriter, allow string) *problem.Problem {
	w.Header().Set("Allow", allow)
	return &problem.Problem{
		Code: codeMethod, Status: http.StatusMethodNotAllowed, Title: "Method not allowed",
		Detail: "This address takes " + allow + " only.", Links: []problem.Link{toPortal},
	}
}

func notAvailable() *problem.Problem {
	return &problem.Problem{
		Code: codeNotAvailable, Status: http.StatusNotImplemented, Title: "Not available",
		Detail: "This version does not have that yet.", Links: []problem.Link{toPortal},
	}
}

func badRequest(detail string) *problem.Problem {
	return &problem.Problem{Code: codeBadRequest, Status: http.StatusBadRequest, Title: "Request not understood", Detail: detail, Links: []problem.Link{toPortal}}
}

func tooLarge() *problem.Problem {
	return &problem.Problem{
		Code: codeTooLarge, Status: http.StatusRequestEntityTooLarge, Title: "Too large",
		Detail: "The request's body is larger than 64 KiB.", Links: []problem.Link{toPortal},
	}
}

func mediaType(want string) *problem.Problem {
	return &problem.Problem{
		Code: codeMediaType, Status: http.StatusUnsupportedMediaType, Title: "Unsupported media type",
		Detail: "Send the body as " + want + ".", Links: []problem.Link{toPortal},
	}
}

func forbidden(detail string) *problem.Problem {
	return &problem.Problem{Code: codeForbidden, Status: http.StatusForbidden, Title: "Not allowed", Detail: detail, Links: []problem.Link{toPortal}}
}

// favouritesFull says it in every language that there are words for.
func favouritesFull(words lang.Texts[*quickTexts]) *problem.Problem {
	return &problem.Problem{
		Code: codeFavourites, Status: http.StatusConflict, Title: "No more favourites", Detail: words.In(lang.Default).Full,
		InWords: func(language string) string { return words.In(language).Full }, Links: []problem.Link{toPortal},
	}
}

// unavailable is for what the gateway itself can't do now, such as writing its record.
func unavailable(links ...problem.Link) *problem.Problem {
	return &problem.Problem{
		Code: codeUnavailable, Status: http.StatusServiceUnavailable, Title: "Not possible right now",
		Detail: "The gateway could not do this. Your own account is not affected. Try again shortly; whoever runs the gateway finds the cause in its log.",
		Links:  append(links, toPortal), RetryAfter: 10 * time.Second,
	}
}

// refused carries the refusal to programs as a member of its own; people read its sentence.
func refused(r *policy.Refusal) *problem.Problem {
	return &problem.Problem{
		Code: codeRefused, Status: http.StatusForbidden, Title: "Impersonation refused", Detail: r.Message, InWords: r.In,
		Links: []problem.Link{toPortal}, Extra: map[string]any{"refusal": refusalJSON{r.Code, r.Message}},
	}
}

// stepUpRequired tells a program where its person logs in afresh.
func stepUpRequired(r *policy.Refusal, returnTo string) *problem.Problem {
	href := root + "/step-up?return_to=" + url.QueryEscape(returnTo)
	return &problem.Problem{
		Code: codeStepUp, Status: http.StatusForbidden, Title: "Log in again first", Detail: r.Message, InWords: r.In,
		Links: []problem.Link{{Text: "Log in again", Href: href}, toPortal},
		Extra: map[string]any{"refusal": refusalJSON{r.Code, r.Message}, "step_up": href},
	}
}

// crossOrigin answers a form or script of another site. Whoever got here by a page that hides its origin still gets
// home: the button on this page is of this one.
func crossOrigin(w http.ResponseWriter, r *http.Request) {
	p := &problem.Problem{
		Code: codeCrossOrigin, Status: http.StatusForbidden, Title: "Sent from another site",
		Detail: "This was sent by a page of another site, so nothing was done.", Links: []problem.Link{toPortal},
	}
	if r.URL.Path == root+"/stop" {
		p.Detail = "This was sent by a page of another site, so nothing was done. To return to your own account, press the button here."
		p.Links = []problem.Link{problem.Return}
	}
	problem.Write(w, r, p)
}
