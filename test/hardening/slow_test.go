package hardening

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/odradek/odradek/test/servers"
)

// slow is a bucket whose PUTs take their time.
type slow struct {
	*servers.S3Server
	delay atomic.Int64 // of a PUT, in nanoseconds
}

// slowBucket stands before a MinIO until the test ends. Its requests pass unchanged: they are signed for the address
// that the agent was given.
func slowBucket(t *testing.T, delay time.Duration) *slow {
	t.Helper()
	s := &slow{S3Server: servers.SharedMinIO(t)}
	s.delay.Store(int64(delay))
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			time.Sleep(time.Duration(s.delay.Load()))
		}
		proxy.ServeHTTP(w, r)
	}))
	proxy.ErrorLog = nil
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	s.Endpoint = server.URL
	return s
}

// trickle reads a little at a time until the connection ends.
func trickle(r io.Reader, bytesPerSecond int, stop <-chan struct{}) int {
	b := make([]byte, max(1, bytesPerSecond/10))
	total := 0
	for {
		n, err := io.ReadFull(r, b)
		total += n
		if err != nil {
			return total
		}
		select {
		case <-stop:
			return total
		case <-time.After(time.Second / 10):
		}
	}
}
