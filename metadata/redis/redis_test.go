package redis_test

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/metadatatest"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/test/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// open opens a cluster of its own in the Redis given.
func open(t testing.TB, server *servers.RedisServer) *redis.Store {
	t.Helper()
	return openCluster(t, server, rand.Text())
}

func openCluster(t testing.TB, server *servers.RedisServer, cluster string) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), redis.Config{URL: server.URL(), Password: server.Password, Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	metadatatest.Run(t, func(t *testing.T) metadata.Store { return open(t, servers.SharedRedis(t)) })
}
