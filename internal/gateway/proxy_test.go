package gateway_test

import (
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// reverseProxy is the next handler most sites have. Like Caddy's it returns an error when the app can't be reached.
func reverseProxy(w *world, backend string) appFunc {
	w.t.Helper()
	u, err := url.Parse(backend)
	w.must(err)
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	w.t.Cleanup(transport.CloseIdleConnections)
	return func(rw http.ResponseWriter, r *http.Request) (failed error) {
		p := &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(u)
				pr.Out.Host = pr.In.Host
			},
			ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
				failed = errors.Join(statusError(http.StatusBadGateway), err)
			},
		}
		p.ServeHTTP(rw, r)
		return failed
	}
}
