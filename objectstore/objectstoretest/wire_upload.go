package objectstoretest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/odradek/odradek/objectstore"
)

// uploadWire is a server that takes one upload, and answers its completion as it is told.
type uploadWire struct {
	status int    // of the completion's answer; 0: the connection is cut
	body   string // and its body
	exists bool   // whether there is an object under the key

	mu    sync.Mutex // guards all above, and what was seen
	seen  []request
	query []string
}

const completed = `<CompleteMultipartUploadResult><Location>there</Location><Bucket>bucket</Bucket><Key>k</Key>` +
	`<ETag>"whole"</ETag></CompleteMultipartUploadResult>`

func (w *uploadWire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, request{r.Method, r.URL.Path, r.Header.Clone(), body})
	w.query = append(w.query, r.URL.Query().Encode())
	rw.Header().Set("Content-Type", "application/xml")
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
		io.WriteString(rw, `<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>k</Key><UploadId>id-1</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPut:
		rw.Header().Set("Etag", fmt.Sprintf(`"etag-%s"`, r.URL.Query().Get("partNumber")))
	case r.Method == http.MethodHead && !w.exists:
		rw.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodHead:
		rw.Header().Set("Content-Length", "1")
		rw.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		rw.Header().Set("Etag", `"whole"`)
	case r.Method == http.MethodPost && w.status == 0:
		panic(http.ErrAbortHandler)
	case r.Method == http.MethodPost:
		rw.WriteHeader(w.status)
		io.WriteString(rw, w.body)
	case r.Method == http.MethodDelete:
		rw.WriteHeader(http.StatusNoContent)
	}
}

// answer says how completions are answered from now on.
func (w *uploadWire) answer(status int, body string, exists bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.body, w.exists = status, body, exists
}

// sent gives the requests of a method so far, and their queries.
func (w *uploadWire) sent(method string) (requests []request, queries []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.seen {
		if r.method == method {
			requests, queries = append(requests, r), append(queries, w.query[i])
		}
	}
	return requests, queries
}

// runUploadWire checks what a client of S3 sends for an upload and how it reads each answer to its completion.
func runUploadWire(t *testing.T, open func(t *testing.T, endpoint string) objectstore.Store) {
	begun := func(t *testing.T) (*uploadWire, objectstore.Upload) {
		w := new(uploadWire)
		server := httptest.NewServer(w)
		t.Cleanup(server.Close)
		u := begin(t, open(t, server.URL), "k")
		appendPart(t, u, make([]byte, objectstore.MinPart))
		appendPart(t, u, []byte("1234"), []byte("56789"))
		return w, u
	}
	t.Run("Upload_Requests", func(t *testing.T) {
		w, u := begun(t)
		w.answer(200, completed, false)
		complete(t, u)
		wireUpload(t, w)
	})
	for _, a := range []struct {
		status int
		code   string
		exists bool
		want   error // nil: unknown
	}{
		{412, "PreconditionFailed", true, objectstore.ErrExists},
		{404, "NoSuchUpload", true, objectstore.ErrExists},
		{404, "NoSuchUpload", false, objectstore.ErrUploadGone},
		{404, "NoSuchBucket", false, nil},
		{409, "ConditionalRequestConflict", false, nil},
		{400, "InvalidPart", false, nil},
		{500, "InternalError", false, nil},
		{503, "SlowDown", false, nil},
		{200, "InternalError", false, nil}, // S3 answers before it knows
		{0, "Cut", true, nil},
	} {
		t.Run(fmt.Sprintf("Upload_Complete_%d_%s_%t", a.status, a.code, a.exists), func(t *testing.T) {
			w, u := begun(t)
			w.answer(a.status, errorBody(a.code), a.exists)
			err := u.Complete(t.Context())
			if err == nil || errors.Is(err, objectstore.ErrExists) != (a.want == objectstore.ErrExists) ||
				errors.Is(err, objectstore.ErrUploadGone) != (a.want == objectstore.ErrUploadGone) || errors.Is(err, objectstore.ErrNotFound) {
				t.Errorf("complete: %v, want %v", err, a.want)
			}
			if sent, _ := w.sent(http.MethodPost); len(sent) != 2 {
				t.Errorf("the completion was sent %d times, want once", len(sent)-1)
			}
			if a.want != nil {
				return
			}
			w.answer(404, errorBody("NoSuchUpload"), true) // it took effect
			if err := u.Complete(t.Context()); !errors.Is(err, objectstore.ErrExists) {
				t.Errorf("complete again: %v, want ErrExists", err)
			}
		})
	}
}

func wireUpload(t *testing.T, w *uploadWire) {
	posts, queries := w.sent(http.MethodPost)
	if len(posts) != 2 || queries[0] != "uploads=" || queries[1] != "uploadId=id-1" || posts[1].path != "/bucket/pre/fix/k" {
		t.Fatalf("sent %d POSTs: %q", len(posts), queries)
	}
	if algorithm := posts[0].header.Get("X-Amz-Checksum-Algorithm"); algorithm != "CRC32C" {
		t.Errorf("upload with checksum algorithm %q", algorithm)
	}
	last := posts[1]
	if last.header.Get("If-None-Match") != "*" || !strings.Contains(last.header.Get("Authorization"), "if-none-match") {
		t.Errorf("completion with If-None-Match %q, signed %q", last.header.Get("If-None-Match"), last.header.Get("Authorization"))
	}
	for _, words := range []string{"<PartNumber>1<", "<PartNumber>2<", "etag-1", "etag-2", "<ChecksumCRC32C>4waSgw==<"} {
		if !strings.Contains(string(last.body), words) {
			t.Errorf("completion without %q: %s", words, last.body)
		}
	}
	parts, queries := w.sent(http.MethodPut)
	if len(parts) != 2 || queries[1] != "partNumber=2&uploadId=id-1" && !strings.HasPrefix(queries[1], "partNumber=2&uploadId=id-1&") {
		t.Fatalf("sent parts %q", queries)
	}
	part := parts[1]
	if string(part.body) != "123456789" || part.header.Get("X-Amz-Checksum-Crc32c") != "4waSgw==" ||
		part.header.Get("X-Amz-Content-Sha256") != "UNSIGNED-PAYLOAD" || part.header.Get("If-None-Match") != "" {
		t.Errorf("sent part %q with %v", part.body, part.header)
	}
}
