package gateway

import (
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

var (
	portalLink = problem.Link{Text: "Choose an account", Href: Prefix}
	homeLink   = problem.Link{Text: "Go on", Href: "/"}
)

var (
	notFound = &problem.Problem{
		Code: "not-found", Status: http.StatusNotFound, Title: "Not found",
		Detail: "There is nothing at this address.",
	}
	loginRequired = &problem.Problem{
		Code: "login-required", Status: http.StatusUnauthorized, Title: "Log in first",
		Detail: "You are not logged in here, or your session has ended.",
	}
	stateDown = &problem.Problem{
		Code: "state-unavailable", Status: http.StatusServiceUnavailable, Title: "Sessions can't be read",
		Detail: "The gateway can't read its own state at the moment, so it can't tell who you are. Try again shortly.", RetryAfter: 5 * time.Second,
	}
	deactivated = &problem.Problem{
		Code: "account-deactivated", Status: http.StatusForbidden, Title: "Your account is deactivated",
		Detail: "The directory says that this account is no longer active, so you were logged out. If that is a mistake, ask whoever manages accounts.",
	}
	unusableIdentity = &problem.Problem{
		Code: "identity-unusable", Status: http.StatusInternalServerError, Title: "This account can't be passed to the app",
		Detail: "One of the account's facts (its groups, most likely) is too long for a request header. Whoever runs the gateway finds more in its log.",
		Links:  []problem.Link{problem.Return},
	}
	impersonationEnded = &problem.Problem{
		Code: "impersonation-ended", Status: http.StatusConflict, Title: "You are in your own account again",
		Links: []problem.Link{homeLink, portalLink},
	}
	noRecord = &problem.Problem{
		Code: "audit-unavailable", Status: http.StatusServiceUnavailable, Title: "Nothing can be recorded, so nothing can be done as someone else",
		Detail: "The gateway can't write its audit journal (its disk may be full). Until it can, requests made as another person are refused. Your own account works as usual.",
		Links:  []problem.Link{problem.Return}, RetryAfter: 10 * time.Second,
	}
	denied = &problem.Problem{
		Code: "path-denied", Status: http.StatusForbidden, Title: "Not while using someone else's account",
		Detail: "This page can only be used in one's own account.",
		Links:  []problem.Link{{Text: "Back to the app", Href: "/"}, problem.Return},
		Extra:  map[string]any{"refusal": "denied_path"},
	}
	readOnly = &problem.Problem{
		Code: "read-only", Status: http.StatusForbidden, Title: "You are only looking",
		Detail: "You are using this account in read-only mode, so nothing was changed.",
		Links:  []problem.Link{{Text: "Back to the app", Href: "/"}, problem.Return},
		Extra:  map[string]any{"refusal": "read_only"},
	}
	methodRefused = &problem.Problem{
		Code: "method-refused", Status: http.StatusMethodNotAllowed, Title: "Not while using someone else's account",
		Detail: "Requests by this method are not made as another person.",
		Links:  []problem.Link{{Text: "Back to the app", Href: "/"}, problem.Return},
		Extra:  map[string]any{"refusal": "method_refused"},
	}
	withheld = &problem.Problem{
		Code: "page-withheld", Status: http.StatusBadGateway, Title: "This page can't carry the banner",
		Detail: "While you use someone else's account, every page must say so. This one can't be marked, so it is not shown.",
		Links:  []problem.Link{{Text: "Back to the app", Href: "/"}, problem.Return},
	}
	severed = &problem.Problem{
		Code: "impersonation-ended", Status: http.StatusConflict, Title: "You are in your own account again",
		Detail: "The use of the other account ended while this was being loaded.",
		Links:  []problem.Link{homeLink, portalLink},
	}
)

// appFailed is shown in place of the server's own error while impersonating: that one would carry neither the banner nor
// the way back.
func appFailed(status int) *problem.Problem {
	links := []problem.Link{{Text: "Back to the app", Href: "/"}, problem.Return}
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &problem.Problem{
			Code: "app-unavailable", Status: status, Title: "The app does not answer",
			Detail: "The app behind the gateway could not be reached, or did not answer in time.", Links: links,
		}
	}
	title := http.StatusText(status)
	if status < 400 || title == "" {
		status, title = http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError)
	}
	return &problem.Problem{Code: "app-failed", Status: status, Title: title, Detail: "The app behind the gateway could not answer this.", Links: links}
}

// crossOrigin answers a state-changing request that another site's page sent.
func crossOrigin(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, &problem.Problem{
		Code: "cross-origin", Status: http.StatusForbidden, Title: "Sent from another site",
		Detail: "This request came from a page of another site and was refused.",
	})
}
