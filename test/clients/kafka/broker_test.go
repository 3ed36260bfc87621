package kafka

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/odradek/odradek/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// cleansOften makes a broker clean, look for old records and forget files as often as may be.
const cleansOften = `
log.cleaner.backoff.ms=200
log.cleaner.dedupe.buffer.size=4194304
log.initial.task.delay.ms=100
log.retention.check.interval.ms=200
log.segment.delete.delay.ms=100
`

// startBroker starts Kafka and gives its address. It ends with the test, or with this process.
func startBroker(t *testing.T) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("bash", filepath.Join(root, "test", "clients", "prefetch.sh"), "kafka").CombinedOutput(); err != nil {
		t.Fatalf("prefetch.sh kafka: %v\n%s", err, strings.TrimSpace(string(output)))
	}
	addr, controller, dir := harness.FreeAddr(t), harness.FreeAddr(t), harness.TempDir(t)
	properties := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
`, addr, controller, filepath.Join(dir, "data")) + cleansOften
	if err := os.WriteFile(properties, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(root, "test", "clients", "kafka", "target")
	cmd := exec.CommandContext(t.Context(), "java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", filepath.Join(target, "classes")+":"+filepath.Join(target, "lib", "*"), "broker.Main", properties, "4L6g3nShT-eMCtK--X86sw")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it halts
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("Kafka said:\n%s", said)
		}
		log.Close()
	})
	return addr
}
