package objectstore

import (
	"net"
	"net/http"
	"time"
)

// maxIdleConns is how many connections to a store stay open: 64 uploads at once (the highest K), their hedges and
// the readers.
const maxIdleConns = 160

// writeBuffer is how much of a request is put together before it is written to a connection.
const writeBuffer = 64 << 10

// TuneTransport sets up the HTTP transport of a client that talks to one store. Connections are HTTP/1.1: with
// HTTP/2 all uploads would share one connection's window. There is no overall timeout; that is the context's.
func TuneTransport(t *http.Transport) {
	dialer := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	t.Proxy = http.ProxyFromEnvironment
	t.DialContext = dialer.DialContext
	t.ForceAttemptHTTP2 = false
	t.TLSHandshakeTimeout = 5 * time.Second
	t.ResponseHeaderTimeout = time.Minute
	t.MaxIdleConns = maxIdleConns
	t.MaxIdleConnsPerHost = maxIdleConns
	t.IdleConnTimeout = 20 * time.Second // below what S3 closes at
	t.DisableCompression = true
	t.WriteBufferSize = writeBuffer
	t.ReadBufferSize = 64 << 10
}
