package scim

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
)

const (
	// Root is where it is served.
	Root = "/.impersonate/scim/v2"

	contentType   = "application/scim+json"
	maxBody       = 2 << 20
	maxOperations = 1000
	defaultCount  = 100
	maxCount      = 1000
)

type handler struct {
	service *Service
	bearer  [sha256.Size]byte
	mux     *http.ServeMux
}

func newHandler(s *Service, bearer string) http.Handler {
	h := &handler{service: s, bearer: sha256.Sum256([]byte(bearer)), mux: http.NewServeMux()}
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		method, path, _ := strings.Cut(pattern, " ")
		h.mux.HandleFunc(method+" "+Root+path, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				fail(w, err)
			}
		})
	}
	for path, kind := range map[string]string{"/Users": userKind, "/Groups": groupKind} {
		handle("GET "+path, func(w http.ResponseWriter, r *http.Request) error { return h.list(w, r, kind) })
		handle("POST "+path, func(w http.ResponseWriter, r *http.Request) error { return h.create(w, r, kind) })
		handle("GET "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) error { return h.get(w, r, kind) })
		handle("PUT "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) error { return h.update(w, r, kind, replace) })
		handle("PATCH "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) error { return h.update(w, r, kind, patch) })
		handle("DELETE "+path+"/{id}", func(w http.ResponseWriter, r *http.Request) error { return h.remove(w, r, kind) })
	}
	for path, what := range described {
		handle("GET "+path, func(w http.ResponseWriter, r *http.Request) error {
			if r.URL.Query().Has("filter") { // section 4
				return &failure{http.StatusForbidden, "", "this is not filtered"}
			}
			write(w, r, http.StatusOK, what(origin(r)))
			return nil
		})
	}
	h.mux.HandleFunc(Root+"/", func(w http.ResponseWriter, r *http.Request) { fail(w, h.nothing(w, r)) })
	return h
}

// nothing tells why there is nothing at an address, or not by that method.
func (h *handler) nothing(w http.ResponseWriter, r *http.Request) error {
	switch strings.TrimPrefix(r.URL.Path, Root) {
	case "/Bulk", "/Me", "/.search", "/Users/.search", "/Groups/.search":
		return &failure{http.StatusNotImplemented, "", "not supported; ServiceProviderConfig says what is"}
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if _, pattern := h.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		return &failure{http.StatusNotFound, "", "there is no such address"}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &failure{http.StatusMethodNotAllowed, "", "the methods here are " + strings.Join(allowed, ", ")}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], h.bearer[:]) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="scim"`)
		fail(w, &failure{http.StatusUnauthorized, "", "the bearer token is missing, or not the one that is configured"})
		return
	}
	if err := h.service.load(r.Context()); err != nil {
		fail(w, err)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func origin(r *http.Request) string {
	scheme := r.URL.Scheme // as the browser would see it; set by the gateway
	if scheme == "" {
		scheme = "https"
	}
	return scheme + "://" + r.Host + Root
}

func fail(w http.ResponseWriter, err error) {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{http.StatusServiceUnavailable, "", "the state can't be read or written"}
	}
	body := object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(f.status), "detail": f.detail}
	if f.scimType != "" {
		body["scimType"] = f.scimType
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(body)
}

func write(w http.ResponseWriter, _ *http.Request, status int, body any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// read reads a JSON object.
func read(r *http.Request, into any) error {
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !slices.Contains([]string{contentType, "application/json", ""}, strings.ToLower(strings.TrimSpace(ct))) {
		return &failure{http.StatusUnsupportedMediaType, "", "send " + contentType}
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return bad("invalidSyntax", "the request broke off")
	}
	if len(b) > maxBody {
		return &failure{http.StatusRequestEntityTooLarge, "", fmt.Sprintf("more than %d bytes", maxBody)}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(into); err != nil {
		return bad("invalidSyntax", "not JSON of the kind expected: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("invalidSyntax", "something follows the JSON")
	}
	return nil
}

// find is the resource of the request's path.
func (h *handler) find(r *http.Request, kind string) (*resource, error) {
	id := r.PathValue("id")
	h.service.mu.RLock()
	defer h.service.mu.RUnlock()
	one := h.service.byID[id]
	if one == nil || one.Kind != kind {
		return nil, notFound(kind, id)
	}
	return one, nil
}

func (r *resource) etag() string { return `W/"` + strconv.FormatInt(r.Version, 10) + `"` }

// matches tells whether a list of entity tags has this one.
func (r *resource) matches(header string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(r.etag(), "W/") {
			return true
		}
	}
	return false
}

func (h *handler) get(w http.ResponseWriter, r *http.Request, kind string) error {
	one, err := h.find(r, kind)
	if err != nil {
		return err
	}
	if tags := r.Header.Get("If-None-Match"); tags != "" && one.matches(tags) {
		w.Header().Set("ETag", one.etag())
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.answer(w, r, http.StatusOK, one)
	return nil
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request, status int, one *resource) {
	w.Header().Set("ETag", one.etag())
	w.Header().Set("Location", origin(r)+"/"+one.Kind+"s/"+one.ID)
	write(w, r, status, h.shown(r, one))
}

// shown is the resource with what the server adds, and without what was not asked for.
func (h *handler) shown(r *http.Request, one *resource) object {
	o := make(object, len(one.o)+3)
	for k, v := range one.o {
		o[k] = v
	}
	o["id"] = one.ID
	o["meta"] = object{
		"resourceType": one.Kind, "created": stamp(one.CreatedAt), "lastModified": stamp(one.ModifiedAt),
		"location": origin(r) + "/" + one.Kind + "s/" + one.ID, "version": one.etag(),
	}
	if one.Kind == userKind {
		groups := []object{}
		h.service.mu.RLock()
		for id, g := range h.service.groupsOf[one.ID] {
			groups = append(groups, object{"value": id, "display": g.o[keyOf(g.o, "displayName")], "$ref": origin(r) + "/Groups/" + id})
		}
		h.service.mu.RUnlock()
		slices.SortFunc(groups, func(a, b object) int { return strings.Compare(a["value"].(string), b["value"].(string)) }) // as just made
		if len(groups) > 0 {
			o["groups"] = groups
		}
	}
	return selected(o, r.URL.Query())
}

func (h *handler) create(w http.ResponseWriter, r *http.Request, kind string) error {
	var o object
	if err := read(r, &o); err != nil {
		return err
	}
	h.service.writing.Lock()
	defer h.service.writing.Unlock()
	h.service.mu.RLock()
	full := len(h.service.byID) >= maxResources
	h.service.mu.RUnlock()
	if full {
		return &failure{http.StatusInsufficientStorage, "", fmt.Sprintf("there are %d resources, the most there can be", maxResources)}
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	now := h.service.clock.Now()
	one, err := h.make(kind, hex.EncodeToString(id[:]), o)
	if err != nil {
		return err
	}
	one.Version, one.CreatedAt, one.ModifiedAt = 1, now, now
	if err := h.service.change(r.Context(), nil, one); err != nil {
		return fromStore(kind, one.ID, err)
	}
	h.answer(w, r, http.StatusCreated, one)
	return nil
}

// make checks what a client sent.
func (h *handler) make(kind, id string, o object) (*resource, error) {
	naming := "displayName"
	schema := groupSchema
	if kind == userKind {
		naming, schema = "userName", userSchema
	}
	for k := range o {
		for _, own := range []string{"id", "meta", "password"} { // ours to say, and none of our business
			if strings.EqualFold(k, own) {
				delete(o, k)
			}
		}
		if kind == userKind && strings.EqualFold(k, "groups") {
			delete(o, k)
		}
	}
	name, ok := o[keyOf(o, naming)].(string)
	if !ok {
		return nil, bad("invalidValue", "%s is missing", naming)
	}
	if err := directory.CheckUsername(name); err != nil {
		return nil, bad("invalidValue", "%s %v", naming, err)
	}
	if kind == userKind {
		if err := activate(o); err != nil {
			return nil, err
		}
	}
	if _, ok := o[keyOf(o, "schemas")].([]any); !ok {
		o["schemas"] = []any{schema}
	}
	if err := conforms(kind, o, schema); err != nil {
		return nil, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, bad("invalidValue", "%v", err)
	}
	return &resource{SCIMResource: state.SCIMResource{Kind: kind, ID: id, Name: identity.Key(name), Body: body}, o: o}, nil
}

// activate makes a boolean of active: Entra sends the texts "True" and "False". What is neither would be a guess.
func activate(o object) error {
	key := keyOf(o, "active")
	switch v := o[key].(type) {
	case nil:
		delete(o, key)
	case bool:
	case string:
		switch strings.ToLower(v) {
		case "true":
			o[key] = true
		case "false":
			o[key] = false
		default:
			return bad("invalidValue", "active is neither true nor false")
		}
	default:
		return bad("invalidValue", "active is neither true nor false")
	}
	return nil
}

// update changes a resource by what the request's body says.
func (h *handler) update(w http.ResponseWriter, r *http.Request, kind string, how func(r *http.Request, kind string, o object) (object, error)) error {
	h.service.writing.Lock()
	defer h.service.writing.Unlock()
	old, err := h.find(r, kind)
	if err != nil {
		return err
	}
	if err := precondition(r, old); err != nil {
		return err
	}
	var o object
	if err := json.Unmarshal(old.Body, &o); err != nil { // a copy to work on
		return err
	}
	if o, err = how(r, kind, o); err != nil {
		return err
	}
	one, err := h.make(kind, old.ID, o)
	if err != nil {
		return err
	}
	if bytes.Equal(one.Body, old.Body) {
		h.answer(w, r, http.StatusOK, old)
		return nil
	}
	one.Version, one.CreatedAt, one.ModifiedAt = old.Version+1, old.CreatedAt, h.service.clock.Now()
	if err := h.service.change(r.Context(), old, one); err != nil {
		return fromStore(kind, old.ID, err)
	}
	h.answer(w, r, http.StatusOK, one)
	return nil
}

func precondition(r *http.Request, one *resource) error {
	if tags := r.Header.Get("If-Match"); tags != "" && !one.matches(tags) {
		return &failure{http.StatusPreconditionFailed, "", "it was changed since; its version is " + one.etag()}
	}
	return nil
}

func replace(r *http.Request, _ string, _ object) (object, error) {
	var o object
	err := read(r, &o)
	return o, err
}

func patch(r *http.Request, kind string, o object) (object, error) {
	var body struct {
		Schemas    []string
		Operations []operation
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if len(body.Operations) == 0 || len(body.Operations) > maxOperations {
		return nil, bad("invalidSyntax", "%d Operations; from 1 to %d are carried out", len(body.Operations), maxOperations)
	}
	if body.Schemas != nil && !listed(body.Schemas, patchSchema) {
		return nil, bad("invalidSyntax", "schemas does not have %s", patchSchema)
	}
	if err := apply(kind, o, body.Operations); err != nil {
		return nil, err
	}
	return o, nil
}

func (h *handler) remove(w http.ResponseWriter, r *http.Request, kind string) error {
	h.service.writing.Lock()
	defer h.service.writing.Unlock()
	old, err := h.find(r, kind)
	if err != nil {
		return err
	}
	if err := precondition(r, old); err != nil {
		return err
	}
	if err := h.service.change(r.Context(), old, nil); err != nil {
		return fromStore(kind, old.ID, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) list(w http.ResponseWriter, r *http.Request, kind string) error {
	q := r.URL.Query()
	number := func(name string, otherwise int) (int, error) {
		if q.Get(name) == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil {
			return 0, bad("invalidValue", "%s is not a number", name)
		}
		return n, nil
	}
	start, err := number("startIndex", 1)
	if err != nil {
		return err
	}
	count, err := number("count", defaultCount)
	if err != nil {
		return err
	}
	start, count = max(start, 1), min(max(count, 0), maxCount)
	var where filter
	if text := q.Get("filter"); text != "" {
		if where, err = parseFilter(text); err != nil {
			return bad("invalidFilter", "filter: %v", err)
		}
	}
	found := h.service.search(kind, q.Get("filter"), where)
	page := []object{}
	for i := start - 1; i < len(found) && len(page) < count; i++ {
		page = append(page, h.shown(r, found[i]))
	}
	write(w, r, http.StatusOK, object{
		"schemas":      []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"},
		"totalResults": len(found), "startIndex": start, "itemsPerPage": len(page), "Resources": page,
	})
	return nil
}

// search finds resources, the oldest first. What providers ask before each change, userName eq "…", is looked up.
func (s *Service) search(kind, text string, where filter) []*resource {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p, err := newParser(text); err == nil && len(p.tokens) == 3 && strings.EqualFold(p.tokens[1], "eq") {
		naming := map[string]string{userKind: "userName", groupKind: "displayName"}[kind]
		if name := unquote(p.tokens[2]); strings.EqualFold(p.tokens[0], naming) && name != nil {
			if text, ok := name.(string); ok {
				if one := s.byName[kind+identity.Key(text)]; one != nil {
					return []*resource{one}
				}
				return nil
			}
		}
	}
	var found []*resource
	for _, one := range s.byID {
		if one.Kind == kind && (where == nil || where(one.asked())) {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b *resource) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found
}

// asked is the resource as a filter sees it.
func (r *resource) asked() object {
	o := make(object, len(r.o)+2)
	for k, v := range r.o {
		o[k] = v
	}
	o["id"] = r.ID
	o["meta"] = object{"resourceType": r.Kind, "created": stamp(r.CreatedAt), "lastModified": stamp(r.ModifiedAt)}
	return o
}

// unquote is a value of a filter; nil: it is none.
func unquote(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return v
}
