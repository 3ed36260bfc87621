package terraform

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// call is a request to the bucket as its policies see it.
type call struct {
	action string
	key    string // empty where it is about the bucket
	denied bool
}

// recorder stands between S3's clients and a server. It notes what they ask for and, where it is given policies, refuses
// what they do not allow, as S3 would. The prefix of its keys is that of the bucket it stands for.
type recorder struct {
	*httptest.Server
	bucket string
	arn    string // of the bucket in the policies
	grant  *grant // nil: everything goes through

	mu      sync.Mutex
	calls   map[call]int    // guarded by mu
	unknown map[string]bool // guarded by mu; requests that no action is known for
	used    map[string]bool // guarded by mu; statement and action that let something through
}

func newRecorder(t *testing.T, server, bucket string, g *grant) *recorder {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{
		bucket: bucket, arn: "arn:aws:s3:::example-odradek", grant: g,
		calls: make(map[call]int), unknown: make(map[string]bool), used: make(map[string]bool),
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host // it is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if !r.admit(in) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
			return
		}
		proxy.ServeHTTP(w, in)
	}))
	t.Cleanup(r.Server.Close)
	return r
}

// actionOf names what a request needs permission for. The actions of S3 are not its operations: HEAD is a read, and all of
// an upload in parts is PutObject, but its end by force.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
func actionOf(in *http.Request, key string) string {
	q := in.URL.Query()
	switch {
	case in.Header.Get("x-amz-copy-source") != "":
	case key == "" && in.Method == http.MethodGet && q.Has("uploads"):
		return "s3:ListBucketMultipartUploads"
	case key == "" && in.Method == http.MethodGet && (q.Get("list-type") == "2" || q.Has("location")):
		return "s3:ListBucket"
	case key == "":
	case in.Method == http.MethodGet && !q.Has("uploadId") && !q.Has("acl"), in.Method == http.MethodHead:
		return "s3:GetObject"
	case in.Method == http.MethodPut, in.Method == http.MethodPost && (q.Has("uploads") || q.Has("uploadId")):
		return "s3:PutObject"
	case in.Method == http.MethodDelete && q.Has("uploadId"):
		return "s3:AbortMultipartUpload"
	case in.Method == http.MethodDelete:
		return "s3:DeleteObject"
	}
	return ""
}

func (r *recorder) admit(in *http.Request) bool {
	key := strings.TrimPrefix(strings.TrimPrefix(in.URL.Path, "/"+r.bucket), "/")
	action := actionOf(in, key)
	about := request{action, r.arn, map[string]string{}}
	if key != "" {
		about.resource += "/" + key
	}
	if value := in.Header.Get("If-None-Match"); value != "" {
		about.context["s3:if-none-match"] = value
	}
	allowed, by := true, []string(nil)
	if r.grant != nil {
		allowed, by = r.grant.allows(about)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if action == "" {
		r.unknown[in.Method+" "+in.URL.Path+"?"+in.URL.RawQuery] = true
		return true
	}
	r.calls[call{action, firstWord(key), !allowed}]++
	for _, sid := range by {
		if allowed {
			r.used[sid+" "+action+" "+firstWord(key)] = true
		}
	}
	return allowed
}

// firstWord is what a key begins with: the part of the bucket it is in.
func firstWord(key string) string {
	word, _, _ := strings.Cut(key, "/")
	return word
}

// seen copies what was asked for.
func (r *recorder) seen() map[call]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[call]int, len(r.calls))
	for c, n := range r.calls {
		all[c] = n
	}
	return all
}

// actions are those of all calls.
func (r *recorder) actions(t *testing.T) map[string]bool {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for what := range r.unknown {
		t.Errorf("no permission is known for %s", what)
	}
	all := make(map[string]bool)
	for c := range r.calls {
		all[c.action] = true
	}
	return all
}
