package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// body is one answer of the app.
type body struct {
	contentType string
	bytes       []byte
}

// bodies are fixed: what varies is the proxy alone.
func bodies() map[string]body {
	return map[string]body{
		"/html-20k":  {"text/html; charset=utf-8", page(20_000, 4_000)},
		"/html-200k": {"text/html; charset=utf-8", page(200_000, 4_000)},
		"/json":      {"application/json", list(2_000)},
		"/asset-1m":  {"text/javascript; charset=utf-8", bytes.Repeat([]byte("const answer = 42; // as ever\n"), 1<<20/30)},
	}
}

// page is HTML of so many bytes, with a head of about head bytes as frameworks make it: meta, links, inline styles and
// scripts, comments.
func page(size, head int) []byte {
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Bookings</title>\n<!-- <body> is further down -->\n")
	for i := 0; b.Len() < head-300; i++ {
		fmt.Fprintf(&b, "<link rel=\"stylesheet\" href=\"/static/part-%d.css?v=3f2a\">\n<meta name=\"part-%d\" content=\"a > b\">\n<script>window.part=%d;if(1<2){x=\"</div>\"}</script>\n<style>.part-%d>a{color:#123}</style>\n", i, i, i, i)
	}
	b.WriteString("</head>\n<body class=\"page\">\n<main>\n")
	for i := 0; b.Len() < size-200; i++ {
		fmt.Fprintf(&b, "<article id=\"b%d\"><h2><a href=\"/bookings/%d\">Booking %d</a></h2><p>Replace the pump &amp; check the valves.</p></article>\n", i, i, i)
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	for b.Len() < size {
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func list(size int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"id":%d,"title":"Replace the pump","done":false},`, i)
	}
	b.Truncate(b.Len() - 1)
	b.WriteByte(']')
	return b.Bytes()
}

// app is the protected app: it answers with the bodies, says who it thinks is there, and has cookies of its own.
func app() http.Handler {
	all := bodies()
	lengths := map[string]string{}
	for path, b := range all {
		lengths[path] = strconv.Itoa(len(b.bytes))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Seen"] = []string{r.Header.Get("Remote-User")}
		b, ok := all[r.URL.Path]
		if !ok { // the page after login
			http.SetCookie(w, &http.Cookie{Name: "app_session", Value: strings.Repeat("s", 40), Path: "/", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: strings.Repeat("c", 32), Path: "/"})
			h.Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>Home</title><p>Hello")
			return
		}
		h["Content-Type"] = []string{b.contentType}
		h["Content-Length"] = []string{lengths[r.URL.Path]}
		_, _ = w.Write(b.bytes)
	})
	return mux
}

// serveApp is the app's process; it ends when its standard input does.
func serveApp() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench app:", err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := &http.Server{Handler: app(), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, "bench app:", server.Serve(l))
	os.Exit(1)
}

type appProcess struct {
	cmd  *exec.Cmd
	in   io.Closer
	addr string
}

func startApp() (*appProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "app")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &appProcess{cmd: cmd, in: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, errors.New("it did not say where it listens")
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

func (p *appProcess) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
