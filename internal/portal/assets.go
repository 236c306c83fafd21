package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/problem"
)

//go:embed assets/portal.css assets/portal.js assets/approvals.js assets/icon.svg
var assetFiles embed.FS

const assetRoot = "/.impersonate/assets/"

// asset is one static file. It is served under a name with its hash, for ever, and under its plain name with a
// validator: problem pages, which know no hash, use that one.
type asset struct {
	body, hashed, etag, kind string
	packed                   []byte // the body by gzip
}

var assets = loadAssets()

// assetURLs are what pages link to.
type assetURLs struct{ CSS, JS, ApprovalsJS, Icon string }

var urls = assetURLs{
	CSS:         assetRoot + assets["portal.css"].hashed,
	JS:          assetRoot + assets["portal.js"].hashed,
	ApprovalsJS: assetRoot + assets["approvals.js"].hashed,
	Icon:        assetRoot + assets["icon.svg"].hashed,
}

func loadAssets() map[string]*asset {
	all := make(map[string]*asset)
	for name, kind := range map[string]string{
		"portal.css":   "text/css; charset=utf-8",
		"portal.js":    "text/javascript; charset=utf-8",
		"approvals.js": "text/javascript; charset=utf-8",
		"icon.svg":     "image/svg+xml",
	} {
		body, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // embedded above: the build would have failed
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:6])
		stem, ext, _ := strings.Cut(name, ".")
		a := &asset{body: string(body), hashed: stem + "." + hash + "." + ext, etag: `"` + hash + `"`, kind: kind}
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // a level there is
		_, _ = w.Write(body)                                       // into memory, which takes it
		_ = w.Close()
		a.packed = packed.Bytes()
		all[name], all[a.hashed] = a, a
	}
	return all
}

// serveAsset serves the style and script of the portal and the problem pages. It needs no session: the page that says
// "log in" has a style too.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutPrefix(r.URL.Path, assetRoot)
	a := assets[name]
	if a == nil {
		problem.Write(w, r, notFound())
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.Write(w, r, methodNotAllowed(w, "GET, HEAD"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'") // an SVG is a document, too
	h.Set("ETag", a.etag)
	if name == a.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "public, max-age=300")
	}
	body := []byte(a.body)
	h.Set("Vary", "Accept-Encoding")
	// Only these are packed: they hold nothing secret. A page's length would tell what it holds (BREACH).
	if takesGzip(r.Header) {
		body = a.packed
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", strings.TrimSuffix(a.etag, `"`)+`-gzip"`)
	}
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client went away: nobody to tell
}

// takesGzip tells whether the client takes gzip: names it, and does not forbid it (RFC 9110 section 12.5.3).
func takesGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}
