package terraform

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// environment gives the variables of a task in the plan: what its process is told.
func environment(t *testing.T, s state, task string) []string {
	t.Helper()
	var all []string
	variables, _ := container(t, s, task)["environment"].([]any)
	for _, v := range variables {
		all = append(all, fmt.Sprintf("%v=%v", at(v, "name"), at(v, "value")))
	}
	return all
}

// pool is two brokers and a compactor as the plan has them: with its variables, behind its policies, with its user in
// Redis.
type pool struct {
	*testing.T
	brokers   []*harness.Agent
	asked     []*recorder // of the brokers
	redis     limitedRedis
	compactor *exec.Cmd
	exited    chan struct{} // closed when the compactor was waited for
	compacts  *recorder
	log       string // of the compactor
}

func startPool(t *testing.T) *pool {
	t.Helper()
	plan := examples(t)["own_redis"]
	roles := grants(t, plan)
	server := servers.SharedMinIO(t)
	p := &pool{T: t, redis: newLimitedRedis(t)}
	secrets := append(server.Env(), "ODRADEK_REDIS_PASSWORD="+redisPassword)
	through := func(r *recorder) string { // the bucket, by way of the recorder
		at := *server
		at.Endpoint = r.URL
		return at.URL("")
	}
	for range 2 {
		broker := roles["broker"]
		r := newRecorder(t, server.Endpoint, server.Bucket, &broker)
		p.asked = append(p.asked, r)
		p.brokers = append(p.brokers, harness.Start(t, harness.Options{
			Bucket: through(r), Redis: p.redis.url, Env: append(environment(t, plan, "agents"), secrets...),
			Flags: []string{"--wal-size", "64MiB", "--flush-interval", "50ms", "--advertise", "auto"},
		}))
	}
	compactor := roles["compactor"]
	p.compacts = newRecorder(t, server.Endpoint, server.Bucket, &compactor)
	p.startCompactor(append(environment(t, plan, "compactor"), secrets...), append(command(t, plan, "compactor"),
		"--bucket", through(p.compacts), "--redis", p.redis.url, "--data-dir", harness.TempDir(t), "--http", harness.FreeAddr(t),
		"--checkpoint-slots", "64", "--checkpoint-interval", "10s", "--compaction-slots", "2", "--compaction-interval", "1s", "--gc-grace", "1s"))
	return p
}

// command is what a task's program is started with.
func command(t *testing.T, s state, task string) []string {
	t.Helper()
	var all []string
	words, _ := container(t, s, task)["command"].([]any)
	for _, w := range words {
		all = append(all, fmt.Sprint(w))
	}
	return all
}

func (p *pool) startCompactor(env, args []string) {
	p.Helper()
	p.log = filepath.Join(harness.TempDir(p), "compactor.log")
	log, err := os.Create(p.log)
	if err != nil {
		p.Fatal(err)
	}
	defer log.Close()
	p.compactor = harness.Command(p, env, args...)
	p.compactor.Stdout, p.compactor.Stderr = log, log
	if err := p.compactor.Start(); err != nil {
		p.Fatal(err)
	}
	p.exited = make(chan struct{})
	go func() { p.compactor.Wait(); close(p.exited) }()
	p.Cleanup(func() { p.compactor.Process.Kill(); <-p.exited })
}

func (p *pool) client(opts ...kgo.Opt) *kgo.Client {
	p.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.brokers[0].Addr, p.brokers[1].Addr)}, opts...)...)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(c.Close)
	return c
}

// load produces until it is stopped, and then gives what was acknowledged.
func (p *pool) load(topic string) (stop func() map[string]int) {
	c := p.client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	ctx, cancel := context.WithCancel(p.Context())
	var mu sync.Mutex
	acked := make(map[string]int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			value := fmt.Sprint(i)
			c.Produce(context.Background(), kgo.StringRecord(value), func(r *kgo.Record, err error) {
				if err != nil {
					p.Errorf("produce: %v", err)
					return
				}
				mu.Lock()
				acked[value]++
				mu.Unlock()
			})
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() map[string]int {
		cancel()
		<-done
		if err := c.Flush(context.Background()); err != nil {
			p.Errorf("flush: %v", err)
		}
		return acked
	}
}

// consumed reads so many records of a topic from the beginning.
func (p *pool) consumed(topic string, n int) map[string]int {
	c := p.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	got := make(map[string]int)
	for len(got) < n && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
	}
	return got
}

// await waits until something is so.
func (p *pool) await(what string, holds func() bool) {
	p.Helper()
	for deadline := time.Now().Add(4 * time.Minute); !holds(); time.Sleep(250 * time.Millisecond) {
		select {
		case <-p.exited:
			p.Fatalf("the compactor ended: %s", tail(p.log))
		default:
		}
		if time.Now().After(deadline) {
			p.Fatalf("waited in vain for %s; the compactor sent %v\n%s", what, p.compacts.seen(), tail(p.log))
		}
	}
}

// The pool of the plan works under its policies, its metrics are those that the plan looks at, and one that is scaled in
// gives its partitions away in time.
func TestPool_WorksUnderItsPolicies(t *testing.T) {
	t.Parallel()
	p := startPool(t)
	admin := kadm.NewClient(p.client())
	if _, err := admin.CreateTopic(t.Context(), 8, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	stop := p.load("orders")
	p.await("checkpoints, compacted objects, deleted segments and their ledger", func() bool {
		seen := p.compacts.seen()
		for _, c := range []call{
			{"s3:PutObject", "checkpoint", false}, {"s3:PutObject", "compacted", false}, {"s3:PutObject", "ledger", false},
			{"s3:DeleteObject", "journal", false},
		} {
			if seen[c] == 0 {
				return false
			}
		}
		return true
	})

	// Scaling in, under load.
	limit := container(t, examples(t)["own_redis"], "agents")["stopTimeout"].(float64)
	took, status := p.brokers[1].Terminate()
	if status != 0 || took.Seconds() > limit {
		t.Errorf("an agent that was told to end took %v of %v s, status %d\n%s", took, limit, status, p.brokers[1].Tail())
	}
	t.Logf("an agent under load ended %v after SIGTERM", took)
	acked := stop()
	if got := p.consumed("orders", len(acked)); !maps.Equal(acked, got) || len(acked) < 100 {
		t.Errorf("%d records were acknowledged, %d read", len(acked), len(got))
	}

	p.brokers[0].Stop()
	p.compactor.Process.Signal(syscall.SIGTERM)
	<-p.exited
	if status := p.compactor.ProcessState.ExitCode(); status != 0 {
		t.Errorf("the compactor ended with status %d: %s", status, tail(p.log))
	}
	p.judgeCalls()
	p.judgeMetrics()
	if refused := p.redis.refused(t); len(refused) > 0 {
		t.Errorf("Redis refused: %s", strings.Join(refused, "\n"))
	}
}

// judgeCalls compares what was sent with what is allowed: nothing that matters was refused, and no part of the bucket may
// be created in by a role that never did.
func (p *pool) judgeCalls() {
	p.Helper()
	created := map[string]map[string]bool{"broker": {}, "compactor": {}}
	for i, r := range append(slices.Clone(p.asked), p.compacts) {
		role := "broker"
		if i == len(p.asked) {
			role = "compactor"
		}
		r.actions(p.T)
		for c, n := range r.seen() {
			if c.action == "s3:PutObject" && !c.denied {
				created[role][c.key] = true
			}
			if c.denied && (role != "broker" || c != (call{"s3:DeleteObject", "probe", true})) {
				p.Errorf("a %s was refused %s under %s/, %d times", role, c.action, c.key, n)
			}
		}
	}
	for role, g := range grants(p.T, examples(p.T)["own_redis"]) {
		granted := make(map[string]bool)
		for _, s := range g.policies[0].Statement {
			if s.Sid == "Create" {
				for _, resource := range s.Resource {
					granted[firstWord(strings.TrimPrefix(resource, p.compacts.arn+"/"))] = true
				}
			}
		}
		if diff := cmp.Diff(created[role], granted); diff != "" {
			p.Errorf("where a %s creates (-it did +it may):\n%s", role, diff)
		}
	}
}

// printed is one metric of a line that an agent prints: what CloudWatch files it under.
type printed struct{ namespace, name, dimensions string }

// metricsOf reads the lines of metrics out of an agent's output.
func metricsOf(t *testing.T, output string) map[printed]bool {
	t.Helper()
	all := make(map[printed]bool)
	for text := range strings.Lines(output) {
		if !strings.Contains(text, `"_aws"`) {
			continue
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		sets, _ := at(line, "_aws", "CloudWatchMetrics").([]any)
		for _, set := range sets {
			lists, _ := at(set, "Dimensions").([]any)
			metrics, _ := at(set, "Metrics").([]any)
			for _, list := range lists {
				dimensions := make(map[string]string)
				names, _ := list.([]any)
				for _, name := range names {
					dimensions[name.(string)], _ = line[name.(string)].(string)
				}
				for _, m := range metrics {
					name := at(m, "Name").(string)
					if _, there := line[name].(float64); !there {
						t.Errorf("a line names %s and has no value of it: %s", name, text)
					}
					all[printed{at(set, "Namespace").(string), name, inOrder(dimensions)}] = true
				}
			}
		}
	}
	return all
}

func inOrder(dimensions map[string]string) string {
	var s []string
	for _, name := range slices.Sorted(maps.Keys(dimensions)) {
		s = append(s, name+"="+dimensions[name])
	}
	return strings.Join(s, ",")
}

// named lists the metrics of Odradek's own that alarms and scaling policies of a plan look at.
func named(s state) map[printed]string {
	all := make(map[printed]string)
	add := func(r resource, namespace, name any, dimensions map[string]string) {
		if namespace == "Odradek" {
			all[printed{"Odradek", fmt.Sprint(name), inOrder(dimensions)}] = r.Address
		}
	}
	for _, r := range s.of("aws_cloudwatch_metric_alarm") {
		dimensions := make(map[string]string)
		members, _ := r.Values["dimensions"].(map[string]any)
		for name, value := range members {
			dimensions[name] = fmt.Sprint(value)
		}
		add(r, r.Values["namespace"], r.Values["metric_name"], dimensions)
	}
	for kind, where := range map[string][]any{
		"aws_appautoscaling_policy": {"target_tracking_scaling_policy_configuration", 0, "customized_metric_specification", 0},
		"aws_autoscaling_policy":    {"target_tracking_configuration", 0, "customized_metric_specification", 0},
	} {
		for _, r := range s.of(kind) {
			metric := at(r.Values, where...)
			dimensions := make(map[string]string)
			for _, member := range []string{"dimensions", "metric_dimension"} {
				list, _ := at(metric, member).([]any)
				for _, d := range list {
					dimensions[fmt.Sprint(at(d, "name"))] = fmt.Sprint(at(d, "value"))
				}
			}
			add(r, at(metric, "namespace"), at(metric, "metric_name"), dimensions)
		}
	}
	return all
}

// judgeMetrics compares what the pool printed with what the plans look at.
func (p *pool) judgeMetrics() {
	p.Helper()
	compactor, err := os.ReadFile(p.log)
	if err != nil {
		p.Fatal(err)
	}
	have := metricsOf(p.T, p.brokers[0].Log()+string(compactor))
	for name, s := range examples(p.T) {
		wanted := named(s)
		if len(wanted) != 5 {
			p.Errorf("%s looks at %d metrics, want 5: %v", name, len(wanted), wanted)
		}
		for m, by := range wanted {
			if !have[m] {
				p.Errorf("%s: %s looks at %v, which nobody printed; there are %v", name, by, m, slices.Collect(maps.Keys(have)))
			}
		}
	}
}
