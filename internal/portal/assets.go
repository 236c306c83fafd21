package portal

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
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
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(a.body)) // the client went away: nobody to tell
}
