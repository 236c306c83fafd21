package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// axeSource is axe-core, as test/setup.sh has installed it: exactly the version of the lock file.
func axeSource(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		cache = dir
	} else if home, homeErr := os.UserHomeDir(); homeErr == nil {
		cache, err = filepath.Join(home, ".cache"), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "caddy-impersonate", "axe", "node_modules", "axe-core")
	version := func(file string) (v struct {
		Version      string
		Dependencies map[string]string
	},
	) {
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &v)
		}
		if err != nil {
			t.Fatalf("axe-core is missing (test/setup.sh installs it): %v", err)
		}
		return v
	}
	if have, want := version(filepath.Join(dir, "package.json")).Version, version("../axe/package.json").Dependencies["axe-core"]; have != want {
		t.Fatalf("axe-core is %s, not %s: run test/setup.sh", have, want)
	}
	b, err := os.ReadFile(filepath.Join(dir, "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// axe are the violations of WCAG 2.2 AA on the page, and of what axe calls best practice but for the rules named.
func (b *browser) axe(source string) []string {
	b.t.Helper()
	if there, err := try[bool](b, `typeof axe === "object"`); err != nil || !there {
		if _, err := try[bool](b, source+"\n;true"); err != nil {
			b.t.Fatalf("%s's browser: axe does not load: %v", b.name, err)
		}
	}
	if _, err := try[bool](b, `window.found = null, axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"], preload: false,
	}).then(r => window.found = JSON.stringify({rules: r.passes.length, said: r.violations.flatMap(v => v.nodes.map(n => v.id + " (" + v.impact + ") at " + n.target.flat().join(" ") + ": " + n.failureSummary.replace(/\s+/g, " ")))}),
		e => window.found = JSON.stringify({said: ["axe failed: " + e]})), true`); err != nil {
		b.t.Fatalf("%s's browser: axe does not start: %v", b.name, err)
	}
	b.wait("axe is through", "window.found")
	var found struct {
		Rules int
		Said  []string
	}
	decode(b, "window.found", &found)
	if found.Rules == 0 {
		b.t.Fatalf("%s's browser: axe says nothing: %v", b.name, found.Said)
	}
	return found.Said
}

// TestAxeCanFail: known faults are found, also in a shadow root, so that finding none means something.
func TestAxeCanFail(t *testing.T) {
	page := serve(t, `<!DOCTYPE html><title>x</title><main><h1>A page</h1><p style="color:#bbb;background:#fff">Pale words</p><img src="/x.png"><input name=q>
<button></button><div id=host></div></main><script>document.querySelector("#host").attachShadow({mode:"open"}).innerHTML = "<a href='/'><img src='/y.png'></a>"</script>`)
	b := newBrowser(t, "axe")
	b.open(page)
	said := strings.Join(b.axe(axeSource(t)), "\n")
	for _, want := range []string{"html-has-lang", "color-contrast", "image-alt", "label (", "button-name", "link-name", "#host"} {
		if !strings.Contains(said, want) {
			t.Errorf("axe does not find %s in:\n%s", want, said)
		}
	}
}

// serve serves one page, and tells where.
func serve(t *testing.T, page string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// decode evaluates an expression that makes JSON.
func decode(b *browser, js string, into any) {
	b.t.Helper()
	text, err := try[string](b, js)
	if err == nil {
		err = json.Unmarshal([]byte(text), into)
	}
	if err != nil {
		b.t.Fatalf("%s's browser: %s: %v", b.name, js, err)
	}
}

// looksOf are how a page is looked at.
var looksOf = []struct {
	name          string
	width, height int64
	dark          bool
}{
	{"desktop", 1280, 800, false},
	{"dark", 1280, 800, true},
	{"phone-dark", 360, 740, true},
	{"phone", 360, 740, false},
}

// TestAccessible: every page of the portal, the app under the banner and what goes wrong, for everybody who sees it, in
// light and dark, on a desktop and a phone: axe finds nothing. Nothing scrolls sideways at 320 px, or enlarged twice.
func TestAccessible(t *testing.T) {
	axe := axeSource(t)
	s := newStage(t, 2000)
	b := newBrowser(t, "axe")
	b.expect("Failed to load resource") // pages that are refusals, and the one without network
	b.expect("Failed to fetch")
	for _, c := range scenes {
		for _, who := range strings.Fields(c.who) {
			s.enter(b, c, who)
			b.weighs(c.name + ", " + who)
			for _, look := range looksOf {
				b.viewport(look.width, look.height)
				b.dark(look.dark)
				b.wait("the page holds still", loaded+still)
				for _, said := range b.axe(axe) {
					if c.name == "frame" && (strings.HasPrefix(said, "landmark-one-main") || strings.HasPrefix(said, "page-has-heading-one")) {
						continue // best practice of a page: this is a part of one
					}
					t.Errorf("%s, %s, %s: %s", c.name, who, look.name, said)
				}
				if who == strings.Fields(c.who)[0] {
					b.picture(c, look.name)
				}
			}
			for _, width := range []int64{320, 640} {
				b.viewport(width, 512)
				b.wait("the page holds still", loaded+still)
				if wide, err := try[string](b, tooWide(width)); err != nil || wide != "" {
					t.Errorf("%s, %s: at %d px it is wider, by %s (%v)", c.name, who, width, wide, err)
				}
			}
		}
	}
}

// tooWide names what makes a page scroll sideways.
func tooWide(width int64) string {
	return fmt.Sprintf(`(() => {
		if (document.documentElement.scrollWidth <= %[1]d && document.body.scrollWidth <= %[1]d) return "";
		const all = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && e.getBoundingClientRect().right > %[1]d + 1);
		return document.documentElement.scrollWidth + " px: " + (all.map(e => e.tagName + "." + e.className + "#" + e.id).join(", ") || "something");
	})()`, width)
}

// most is what a page may weigh with all it loads of the gateway, in bytes as they are sent: nothing is compressed.
const most = 60_000

// weighs fails the test if the page and what it loads are too heavy. Of an app's page only what the banner adds counts.
func (b *browser) weighs(what string) {
	b.t.Helper()
	var weight struct{ Page, Rest int }
	decode(b, `JSON.stringify((() => {
		const own = e => new URL(e.name).pathname.startsWith("/.impersonate/"), of = type => performance.getEntriesByType(type).filter(own).reduce((n, e) => n + e.encodedBodySize, 0);
		return { page: of("navigation"), rest: of("resource") };
	})())`, &weight)
	b.t.Logf("weight: %s: page %d, with all it loads %d bytes", what, weight.Page, weight.Page+weight.Rest)
	if weight.Page+weight.Rest > most {
		b.t.Errorf("%s weighs %d bytes, more than %d", what, weight.Page+weight.Rest, most)
	}
}

// picture takes a picture, and keeps it for the documentation where the scene says so and $SCREENSHOTS names a directory.
func (b *browser) picture(c scene, look string) {
	b.t.Helper()
	png := b.shot(c.name + "-" + look)
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" || (c.shot != "most" || look == "phone-dark") && !slices.Contains(strings.Fields(c.shot), look) {
		return
	}
	name := strings.TrimSuffix(c.name+"-"+look, "-desktop") + ".png"
	if err := os.WriteFile(filepath.Join(dir, name), smaller(b.t, png), 0o644); err != nil {
		b.t.Error(err)
	}
}

// smaller is a picture packed as well as it goes, in at most 256 colours: pages have few.
func smaller(t *testing.T, picture []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds()
	count := map[color.RGBA]int{}
	for y := size.Min.Y; y < size.Max.Y; y++ {
		for x := size.Min.X; x < size.Max.X; x++ {
			count[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	palette, alike := make(color.Palette, 0, 256), map[color.RGBA]bool{}
	for _, c := range slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	}) {
		if !alike[coarse(c)] && len(palette) < 256 {
			alike[coarse(c)] = true
			palette = append(palette, c)
		}
	}
	index := map[color.RGBA]uint8{}
	out := image.NewPaletted(size, palette)
	for y := size.Min.Y; y < size.Max.Y; y++ {
		for x := size.Min.X; x < size.Max.X; x++ {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			i, ok := index[c]
			if !ok {
				i = uint8(palette.Index(c)) //nolint:gosec // of 256
				index[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// coarse is the same for colours between which nobody sees a difference.
func coarse(c color.RGBA) color.RGBA { return color.RGBA{c.R / 4, c.G / 4, c.B / 4, 255} }
