package ops

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// Banner is what an agent prints once it serves.
type Banner struct {
	Version   string
	Cluster   string // name and id, as a person should read them
	NodeID    int32
	Kafka     string // host:port clients connect to
	KafkaFrom string // where that address was found
	HTTP      string // host:port that health and metrics listen on, "" if there is none
	Zone      string // "" if there is none
	Bucket    string // URL without credentials
	Index     string // `in memory` or the Redis URL
	WAL       string // directory and size
}

// Write prints the banner: what is served, where it is stored, and a line to try.
func (b Banner) Write(w io.Writer) error {
	var s strings.Builder
	line := func(name, value, note string) {
		if value == "" {
			return
		}
		if note != "" {
			value += "  (" + note + ")"
		}
		fmt.Fprintf(&s, "  %-8s %s\n", name, value)
	}
	fmt.Fprintf(&s, "odradek %s, node %d of cluster %s\n\n", b.Version, b.NodeID, b.Cluster)
	from := b.KafkaFrom
	if from == "--listen" { // nothing to tell: it is where the agent was told to listen
		from = ""
	}
	line("kafka", b.Kafka, from)
	if b.HTTP != "" {
		line("http", "http://"+browsable(b.HTTP), "/livez /readyz /metrics")
	}
	line("zone", b.Zone, "")
	line("bucket", b.Bucket, "")
	line("index", b.Index, "")
	line("wal", b.WAL, "")
	bootstrap := ""
	if b.Kafka != DefaultBootstrap {
		bootstrap = " --bootstrap " + b.Kafka
	}
	fmt.Fprintf(&s, "\nTry: echo hello | odradek produce greetings%s && odradek consume greetings%s -n 1\n\n",
		bootstrap, bootstrap)
	_, err := io.WriteString(w, s.String())
	return err
}

// browsable gives an address that a browser on this machine can open: every address is also localhost's.
func browsable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}

// DefaultBootstrap is the address that client commands use when told nothing.
const DefaultBootstrap = "127.0.0.1:9092"
