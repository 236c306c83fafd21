package idptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// LoginClient is a browser without a screen: it keeps cookies, follows redirects one by one and fills in the forms
// of a provider. It runs no script.
type LoginClient struct {
	Username, Password string
	// Header is sent with each request, beside what a browser sends on a navigation.
	Header http.Header
	// Jar holds the cookies.
	Jar *cookiejar.Jar

	t    testing.TB
	http *http.Client
}

// Page is an answer with its body read.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	// Cookies are those the answer set.
	Cookies []*http.Cookie
}

// maxSteps bounds how many answers one Login may take.
const maxSteps = 30

// NewLoginClient returns a browser with no cookies, for the person with this name and password "demo".
func NewLoginClient(t testing.TB, username string) *LoginClient {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &LoginClient{
		Username: username, Password: "demo", Header: http.Header{}, Jar: jar, t: t,
		http: &http.Client{
			Jar: jar,
			// Servers of tests sign their own certificates.
			Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       2 * time.Minute,
		},
	}
}

// Get asks for a page and follows nothing.
func (c *LoginClient) Get(address string) *Page {
	c.t.Helper()
	return c.do(http.MethodGet, address, nil)
}

// Post sends a form and follows nothing.
func (c *LoginClient) Post(address string, form url.Values) *Page {
	c.t.Helper()
	return c.do(http.MethodPost, address, form)
}

func (c *LoginClient) do(method, address string, form url.Values) *Page {
	c.t.Helper()
	page, err := c.Try(method, address, form)
	if err != nil {
		c.t.Fatal(err)
	}
	return page
}

// Try is Get or Post for a request that may fail.
func (c *LoginClient) Try(method, address string, form url.Values) (*Page, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	for name, values := range c.Header {
		req.Header[name] = values
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	return &Page{URL: req.URL, Status: res.StatusCode, Header: res.Header, Body: string(b), Cookies: res.Cookies()}, nil
}

// Location is where the page redirects to, at once by its status or by itself; empty when it does not.
func (p *Page) Location() string {
	to := p.Header.Get("Location")
	if p.Status < 300 || p.Status > 399 {
		to = ""
		if m := refreshTag.FindStringSubmatch(p.Body); m != nil {
			to = html.UnescapeString(m[1])
		}
	}
	if to == "" {
		return ""
	}
	u, err := p.URL.Parse(to)
	if err != nil {
		return ""
	}
	return u.String()
}

// Login asks for address, follows redirects and fills in forms until a page is neither; that page is returned.
func (c *LoginClient) Login(address string) *Page {
	c.t.Helper()
	page, _ := c.LoginUntil(address, func(string) bool { return false })
	return page
}

// LoginUntil is Login, but before an address for which stop is true is asked for, it returns that address and the
// page that led there: a test can change it, or bring it to another browser.
func (c *LoginClient) LoginUntil(address string, stop func(address string) bool) (last *Page, stopped string) {
	c.t.Helper()
	page := &Page{}
	next, form := address, url.Values(nil)
	for range maxSteps {
		if stop(next) {
			return page, next
		}
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		page = c.do(method, next, form)
		if to := page.Location(); to != "" {
			next, form = to, nil
			continue
		}
		to, fields, err := c.fill(page)
		if err != nil {
			return page, ""
		}
		next, form = to, fields
	}
	c.t.Fatalf("no end to the redirects from %s", address)
	return nil, ""
}

// ToCallback is LoginUntil for the address a provider sends the browser back to.
func (c *LoginClient) ToCallback(address string) string {
	c.t.Helper()
	page, callback := c.LoginUntil(address, func(a string) bool { return strings.Contains(a, "/.impersonate/callback?") })
	if callback == "" {
		c.t.Fatalf("the login at %s ended before the callback, at %s: %d %s", address, page.URL, page.Status, page.Body)
	}
	return callback
}

var (
	refreshTag = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)
	formTag    = regexp.MustCompile(`(?is)<form\b([^>]*)>(.*?)</form>`)
	inputTag   = regexp.MustCompile(`(?is)<input\b([^>]*)>`)
	attribute  = regexp.MustCompile(`(?is)\b(action|name|value|id|type)="([^"]*)"`)
	errNoForm  = errors.New("no form to fill in")
)

// fill completes the login or logout form of a provider's page. A form that was sent back (wrong password) ends it.
func (c *LoginClient) fill(page *Page) (action string, fields url.Values, err error) {
	m := formTag.FindStringSubmatch(page.Body)
	if m == nil || page.Status != http.StatusOK || strings.Contains(page.Body, `role="alert"`) {
		return "", nil, errNoForm
	}
	form := attributes(m[1])
	to, err := page.URL.Parse(form["action"])
	if err != nil {
		return "", nil, fmt.Errorf("reading the form's action: %w", err)
	}
	fields = url.Values{}
	for _, input := range inputTag.FindAllStringSubmatch(m[2], -1) {
		a := attributes(input[1])
		fields.Set(a["name"], a["value"])
	}
	switch {
	case fields.Has("username") && fields.Has("password"):
		fields.Set("username", c.Username)
		fields.Set("password", c.Password)
	case form["id"] == "op.logoutForm":
		fields.Set("logout", "yes")
	default:
		return "", nil, errNoForm
	}
	return to.String(), fields, nil
}

func attributes(tag string) map[string]string {
	a := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		a[strings.ToLower(m[1])] = html.UnescapeString(m[2])
	}
	return a
}
