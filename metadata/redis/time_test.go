package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/test/servers"
)

func TestTime_IsRedisOwn(t *testing.T) {
	server := servers.SharedRedis(t)
	s := open(t, server)
	now, err := metadata.Time(t.Context(), s)
	if err != nil || time.Since(now).Abs() > 10*time.Second {
		t.Errorf("%v, %v; want the time, which server and test have from one machine", now, err)
	}
	s.Close()
	if _, err := metadata.Time(t.Context(), s); !errors.Is(err, metadata.ErrUnavailable) {
		t.Errorf("closed: %v, want ErrUnavailable", err)
	}
}
