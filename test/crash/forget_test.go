//go:build linux

package crash

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// firstControl gives the key of the oldest control record in a bucket but control/0, which stays for ever (S5).
func firstControl(t *testing.T, s *servers.S3Server, prefix string) (string, error) {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region,
	})
	if err != nil {
		return "", err
	}
	for o := range c.ListObjectsIter(t.Context(), s.Bucket, minio.ListObjectsOptions{Prefix: prefix + "/" + slotlog.ControlPrefix, Recursive: true}) {
		if key := strings.TrimPrefix(o.Key, prefix+"/"); o.Err != nil || key != slotlog.ControlKey(0) {
			return key, o.Err
		}
	}
	return "", errors.New("no control record")
}

// forgets waits until the beginning of a cluster's control log is deleted.
func forgets(t *testing.T, s *servers.S3Server, prefix string) {
	t.Helper()
	eventually(t, 4*time.Minute, func() error {
		first, err := firstControl(t, s, prefix)
		if err == nil && first <= slotlog.ControlKey(5) {
			out, _ := harness.Run(t, s.Env(), "gc", "--dry-run", "--bucket", s.URL(prefix))
			err = fmt.Errorf("%s is still there\n%s", first, out)
		}
		return err
	})
}

// Agents are killed while they delete the control log's beginning and old seals; others with an empty Redis and empty disks begin
// from the bucket alone: everything is there (G4).
func TestForget_TheBucketAloneIsEnoughWithoutItsBeginning(t *testing.T) {
	t.Parallel()
	s := servers.SharedMinIO(t)
	p := &pool{t: t, options: harness.Options{
		Bucket: s.URL("records"), Redis: servers.OwnRedis(t).URL(), Env: s.Env(), Flags: append([]string{"--gc-age", "1m"}, sweeping...),
	}}
	p.start()
	p.start()
	createTopic(t, p.addr(), loadTopic, partitions)
	p.work = startLoad(t, newLedger(), loadConfig{
		addr: p.addr(), producers: 2, rate: 20 * time.Millisecond, opts: []kgo.Opt{kgo.SeedBrokers(p.addrs()...)},
	})
	p.work.progress(300, 60*time.Second)
	p.commit("readers", 10)
	for i := range 6 { // each life leaves a journal, whose seal goes too
		a := p.agents[i%2]
		a.Kill()
		a.Restart()
		p.work.progress(100, 60*time.Second)
	}
	forgets(t, s, "records")
	for _, a := range p.agents {
		a.Kill()
	}
	p.work.abandon()
	verify(t, p.options.Bucket, p.options.Env)

	again := &pool{t: t, options: p.options}
	again.options.Redis = servers.OwnRedis(t).URL()
	again.start()
	again.start()
	again.serves(60 * time.Second)
	for _, a := range again.agents {
		p.work.check(t, a.Addr)
	}
	again.committed("readers", 10)
	again.work = startLoad(t, p.work.ledger, loadConfig{addr: again.addr(), producers: 2, first: 100})
	again.work.progress(300, 60*time.Second)
	again.work.abandon()
	again.work.check(t, again.addr())
	for _, a := range again.agents {
		a.Stop()
	}
	verify(t, p.options.Bucket, p.options.Env)
	if out, status := harness.Run(t, p.options.Env, "inspect", "control", "--bucket", p.options.Bucket); status != 0 {
		t.Error(fmt.Sprint("odradek inspect control: status ", status, ": ", out))
	}
}
