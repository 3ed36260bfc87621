package cluster

import (
	"bufio"
	"crypto/rand"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/metadata"
	metaredis "github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// connect opens a Redis server as an agent does.
func connect(t *testing.T, server *servers.RedisServer, cluster string) metadata.Store {
	t.Helper()
	s, err := metaredis.Open(t.Context(), metaredis.Config{URL: server.URL(), Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// say sends one command to Redis.
func say(t *testing.T, addr, command string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("%s: %q, %v", command, line, err)
	}
}

// In a real Redis: three agents, a thousand partitions; it is flushed, killed and restarted empty, and an agent dies.
func TestEra_RealRedisForgets(t *testing.T) {
	server, cluster := servers.OwnRedis(t), rand.Text()
	p := newPool(t, nil)
	var members []*member
	for range 3 {
		p.redis = connect(t, server, cluster)
		members = append(members, p.join())
	}
	p.settled("the first era", 20*time.Second, together(1, members...))
	ps := p.topic(members[0], "orders", 1000)
	p.settled("the topic is known", 20*time.Second, func() bool {
		_, known := members[2].State().TopicByID(ps[0].Topic)
		return known
	})
	written := func() {
		for _, m := range members {
			for range 5 {
				p.write(m, p.ownedBy(m, ps)[:50]...)
			}
		}
		p.settled("the index", 30*time.Second, func() bool {
			for _, m := range members {
				if m.Behind() > 0 {
					return false
				}
			}
			return true
		})
	}
	check := func() {
		t.Helper()
		ends := make(map[topic.Partition]topic.Offset)
		for _, m := range members {
			for x, end := range m.next {
				ends[x] = max(ends[x], end)
			}
		}
		inStep(t, p.redis, members[0].Engine, ends)
	}
	written()
	say(t, server.Addr, "FLUSHALL")
	t.Logf("flushed: the next era opened after %v", p.settled("the second era", 30*time.Second, together(2, members...)))
	check()
	server.Kill()
	written0 := members[0].slot
	p.write(members[0], p.ownedBy(members[0], ps)[0]) // owners go on without Redis
	if members[0].slot != written0+1 {
		t.Fatal("nothing was written")
	}
	server.Restart()
	t.Logf("restarted empty: the next era opened after %v", p.settled("the third era", 30*time.Second, together(3, members...)))
	check()
	if n := len(p.openOnes()); n != 3 {
		t.Errorf("%d journals are open; nobody died", n)
	}
	members[2].kill()
	t.Logf("killed: taken over after %v with a lease of %v", p.settled("takeover", 30*time.Second, func() bool { return len(p.openOnes()) == 2 }), p.lease)
	members = members[:2]
	written()
	check()
	if n := p.eras(); n != 3 {
		t.Errorf("%d eras", n)
	}
}
