package terraform

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/metadatatest"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/objectstoretest"
	"github.com/odradek/odradek/objectstore/s3"
	"github.com/odradek/odradek/test/servers"
)

// The compactor may do what the store's suite makes the client of S3 do, and nothing else; a broker all of it but to
// delete and to look after uploads.
func TestSuites_TheBucketIsAskedForWhatTheRolesMayDo(t *testing.T) {
	t.Parallel()
	server := servers.SharedMinIO(t)
	for _, assignment := range server.Env() { // which nothing else here reads, so that tests may run beside each other
		name, value, _ := strings.Cut(assignment, "=")
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
	r := newRecorder(t, server.Endpoint, server.Bucket, nil)
	n := 0
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store {
		n++
		store, err := s3.Open(t.Context(), s3.Config{
			Bucket: server.Bucket, Prefix: fmt.Sprintf("run/%d", n), Region: server.Region, Endpoint: r.URL, PathStyle: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
	sent := r.actions(t)
	roles := grants(t, examples(t)["own_redis"])
	for role, without := range map[string][]string{
		"compactor": nil,
		"broker":    {"s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"},
	} {
		granted := make(map[string]bool)
		for _, s := range roles[role].policies[0].Statement {
			for _, action := range s.Action {
				granted[action] = true
			}
		}
		want := maps.Clone(sent)
		for _, action := range without {
			delete(want, action)
		}
		if diff := cmp.Diff(want, granted); diff != "" {
			t.Errorf("actions of the %s (-sent +granted):\n%s", role, diff)
		}
	}
}

const redisPassword = "hunter2"

// limitedRedis is a Redis with a user that may do what the module of that name says.
type limitedRedis struct {
	*servers.RedisServer
	admin *goredis.Client
	url   string // with the user
}

func newLimitedRedis(t *testing.T) limitedRedis {
	t.Helper()
	server := servers.OwnRedis(t)
	r := limitedRedis{RedisServer: server, admin: goredis.NewClient(&goredis.Options{Addr: server.Addr, Protocol: 2}), url: "redis://odradek@" + server.Addr}
	t.Cleanup(func() { r.admin.Close() })
	rules := []any{"ACL", "SETUSER", "odradek", ">" + redisPassword}
	for rule := range strings.FieldsSeq(accessString(t)) {
		rules = append(rules, rule)
	}
	r.do(t, rules...)
	r.do(t, "CONFIG", "RESETSTAT")
	return r
}

// accessString is what the plan gives the agents' user.
func accessString(t *testing.T) string {
	t.Helper()
	return examples(t)["basic"].one(t, "aws_elasticache_user.odradek").text(t, "access_string")
}

func (r limitedRedis) do(t *testing.T, args ...any) any {
	t.Helper()
	answer, err := r.admin.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return answer
}

// commands lists what was called since the user was made, by whomever; refused what was refused.
func (r limitedRedis) commands(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	stats := regexp.MustCompile(`(?m)^cmdstat_([^:]+):`)
	for _, m := range stats.FindAllStringSubmatch(r.do(t, "INFO", "commandstats").(string), -1) {
		all[m[1]] = true
	}
	return all
}

func (r limitedRedis) refused(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, entry := range r.do(t, "ACL", "LOG").([]any) {
		all = append(all, fmt.Sprint(entry))
	}
	return all
}

// Its user may send the commands that the suite of the metadata store makes agents and their scripts send, and no others.
func TestSuites_RedisIsAskedForWhatItsUserMayDo(t *testing.T) {
	t.Parallel()
	r := newLimitedRedis(t)
	open := func(t *testing.T) *redis.Store {
		s, err := redis.Open(t.Context(), redis.Config{URL: r.url, Password: redisPassword, Cluster: "odradek"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	metadatatest.Run(t, func(t *testing.T) metadata.Store {
		r.do(t, "FLUSHALL")
		return open(t)
	})
	// What no story of the suite does: the time is asked for, and a doorbell that is silent is asked whether it lives.
	s := open(t)
	if _, err := s.Time(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	listened := make(chan error)
	go func() { listened <- s.Listen(ctx, func(metadata.Kinds) {}) }()
	for deadline := time.Now().Add(time.Minute); !r.commands(t)["ping"]; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the doorbell was not asked whether it lives")
			break
		}
	}
	stop()
	<-listened

	sent := r.commands(t)
	for _, ours := range []string{"acl|setuser", "acl|log", "config|resetstat", "flushall"} { // this test's own
		delete(sent, ours)
	}
	for _, free := range []string{"auth", "hello", "quit", "reset"} { // nobody needs permission for these
		delete(sent, free)
	}
	granted := make(map[string]bool)
	for rule := range strings.FieldsSeq(accessString(t)) {
		if command, ok := strings.CutPrefix(rule, "+"); ok {
			granted[command] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(sent)), slices.Sorted(maps.Keys(granted))); diff != "" {
		t.Errorf("commands (-sent +granted):\n%s", diff)
	}
	if refused := r.refused(t); len(refused) > 0 {
		t.Errorf("refused: %s", strings.Join(refused, "\n"))
	}
}

// Another cluster's keys and channel in the same Redis are not the user's.
func TestSuites_OtherKeysOfRedisAreRefused(t *testing.T) {
	t.Parallel()
	r := newLimitedRedis(t)
	user := goredis.NewClient(&goredis.Options{Addr: r.Addr, Username: "odradek", Password: redisPassword, Protocol: 2})
	defer user.Close()
	for _, args := range [][]any{
		{"GET", "{other}:open"}, {"SET", "odradek", "x"}, {"PUBLISH", "{other}:bell", "1"}, {"KEYS", "*"}, {"FLUSHALL"}, {"CONFIG", "GET", "*"},
	} {
		if err := user.Do(t.Context(), args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%v: %v, want NOPERM", args, err)
		}
	}
	if err := user.Do(t.Context(), "GET", "{odradek}:open").Err(); err != goredis.Nil {
		t.Errorf("its own key: %v", err)
	}
}
