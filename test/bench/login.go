package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// login logs two people in, as browsers do: alice, who then becomes sam, and bob, who stays himself.
func (b *bench) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	b.cookies = map[bool]string{}
	for username, impersonating := range map[string]bool{"alice": true, "bob": false} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return err
		}
		browser := &http.Client{Jar: jar}
		site := "http://" + b.gateway.addr
		// To the provider's form …
		form, err := do(ctx, browser, http.MethodGet, site+"/", nil)
		if err != nil {
			return err
		}
		// … and, logged in, back to the app, whose cookies are the person's own.
		home, err := do(ctx, browser, http.MethodPost, form, url.Values{"username": {username}, "password": {"bench"}})
		if err != nil {
			return err
		}
		if home != site+"/" {
			return fmt.Errorf("%s ended up at %s", username, home)
		}
		if impersonating {
			if err := impersonate(ctx, browser, site); err != nil {
				return err
			}
			// The app's cookies are now the target's.
			if _, err := do(ctx, browser, http.MethodGet, site+"/", nil); err != nil {
				return err
			}
		}
		u, err := url.Parse(site + "/")
		if err != nil {
			return err
		}
		var pairs []string
		for _, c := range jar.Cookies(u) {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
		if len(pairs) < 2 {
			return errors.New("the browser got no cookies")
		}
		b.cookies[impersonating] = strings.Join(pairs, "; ")
	}
	b.recorded++ // the page after the start
	return nil
}

// do makes a navigation and returns where it ended.
func do(ctx context.Context, browser *http.Client, method, to string, form url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	res, err := browser.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: %s", method, res.Request.URL, res.Status)
	}
	return res.Request.URL.String(), nil
}

func impersonate(ctx context.Context, browser *http.Client, site string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, site+"/.impersonate/api/v1/impersonations", strings.NewReader(`{"target":"sam","reason":"measuring the cost"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", site)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := browser.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if res.StatusCode != http.StatusCreated {
		return fmt.Errorf("starting the impersonation: %s %s", res.Status, answer)
	}
	return nil
}
