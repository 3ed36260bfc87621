package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/test/servers"
)

// What a Redis says of itself is what `odradek doctor` judges.
func TestInspect_TellsWhatARedisIs(t *testing.T) {
	server := servers.OwnRedis(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes")
	s, err := redis.Inspect(t.Context(), redis.Config{URL: server.URL(), Cluster: "c"})
	if err != nil || s.Unreachable != nil {
		t.Fatal(err, s.Unreachable)
	}
	if s.Version == "" || s.Role != "master" || s.Mode != "standalone" || s.Policy != "allkeys-lru" || s.MaxMemory != "67108864" || !s.AppendOnly ||
		len(s.RunID) != 40 || s.Unreadable {
		t.Errorf("it says %+v", s)
	}
	if off := time.Since(s.Time).Abs(); off > time.Minute || s.Latency <= 0 || s.SavedAt.IsZero() {
		t.Errorf("its clock is off by %v, a round trip takes %v, saved at %v", off, s.Latency, s.SavedAt)
	}
}

// One that does not answer, or refuses, says so; a setting that cannot be right is an error.
func TestInspect_SaysWhyNot(t *testing.T) {
	server := servers.OwnRedis(t, "--requirepass", "secret")
	s, err := redis.Inspect(t.Context(), redis.Config{URL: server.URL(), Password: "wrong", Cluster: "c"})
	if err != nil || !errors.Is(s.Unreachable, redis.ErrConfig) {
		t.Errorf("with a wrong password: %v, %v; want ErrConfig", err, s.Unreachable)
	}
	if s, err := redis.Inspect(t.Context(), redis.Config{URL: "redis://127.0.0.1:1", Cluster: "c"}); err != nil || s.Unreachable == nil {
		t.Errorf("nobody there: %v, %v", err, s.Unreachable)
	}
	if _, err := redis.Inspect(t.Context(), redis.Config{URL: "http://127.0.0.1", Cluster: "c"}); err == nil {
		t.Error("a URL of no Redis was taken")
	}
}
