// Package link is the network of a pool under test: each connection from an agent or a client to a server goes through
// a link that may be cut, swallow what is sent, or be slow. A link to a bucket speaks HTTP and can do worse: answer 503,
// drop the answer to a PUT that was done, hold a PUT back and deliver it when its sender is long gone, cut an answer short,
// flip a byte.
//
//	tcp, _ := link.Listen(redis.Addr)       // agents connect to tcp.Addr
//	tcp.Cut(); tcp.Swallow(); tcp.Delay(d); tcp.Mend()
//	tcp.Point(other)                        // all connections end, new ones go to another server
//	web, _ := link.ListenHTTP(minio.Addr)
//	web.Do(link.Storm, 0.7)                 // seven of ten requests get 503
//
// What held back while a link swallowed goes on its way when it is mended, as packets do. Cut, Point and Close end
// connections with a reset.
//
// A link owns its goroutines: one that accepts, two per connection; Close waits for them, and for PUTs that are held. All
// methods may be called concurrently. Used by test/chaos, test/demo and test/alerts only.
package link
