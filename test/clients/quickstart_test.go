package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
)

// prints is what each command of docs/quick-start.md must print, in part: a regular expression. `make run` is left to the test of the README.
var prints = map[string]string{
	`make run`:                                                  "",
	`curl -s http://127.0.0.1:8080/readyz`:                      "ok",
	`bin/odradek doctor`:                                        "ok",
	`echo 'hello' | bin/odradek produce greetings`:              "",
	`bin/odradek consume greetings -n 1`:                        "hello",
	`bin/odradek consume greetings --group readers -n 1`:        "hello",
	`bin/odradek group describe readers`:                        "greetings",
	`echo 'from kcat' | kcat -P -b 127.0.0.1:9092 -t greetings`: "",
	`kcat -C -b 127.0.0.1:9092 -t greetings -e -q`:              "from kcat",
	`kafka-topics.sh --bootstrap-server 127.0.0.1:9092 --create --topic orders --partitions 3`:                     "Created topic orders",
	`echo 'from the console' | kafka-console-producer.sh --bootstrap-server 127.0.0.1:9092 --topic orders`:         "",
	`kafka-console-consumer.sh --bootstrap-server 127.0.0.1:9092 --topic orders --from-beginning --max-messages 1`: "from the console",
	`kafka-consumer-groups.sh --bootstrap-server 127.0.0.1:9092 --describe --all-groups`:                           "readers",
	`bin/odradek cluster info`: "greetings",
	`bin/odradek cluster cost`: "GiB",
	`bin/odradek verify`:       "(?m)^clean$",
	`curl -s http://127.0.0.1:8080/metrics | grep odradek_meter_requests_total`: `kind="create"`,
}

// programs are the snippets of the page that are no commands: by language, what goes around one and how it is run.
var programs = map[string]struct {
	file, before, after string
	run                 func(t testing.TB, path string) *exec.Cmd
	prints              string
}{
	"java": {"Main.java", `import java.util.Map;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;
class Main { public static void main(String[] none) throws Exception {
`, "}}", func(t testing.TB, file string) *exec.Cmd {
		return exec.Command("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path(t, "test", "clients", "java", "target", "lib")+"/*", file)
	}, `\d+:\d+`},
	"python": {"main.py", "", "", func(t testing.TB, file string) *exec.Cmd {
		return exec.Command(cached(t, "venv", "bin", "python"), file)
	}, `b'(hello|from \w+)'`},
	"go": {"main.go", `package main

import (
	"context"
	"fmt"
	"log"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	ctx := context.Background()
`, "}", func(t testing.TB, file string) *exec.Cmd {
		cmd := exec.Command("go", "run", file)
		cmd.Dir = path(t)
		return cmd
	}, `hello|from \w+`},
	"js": {"main.js", "", "", func(t testing.TB, file string) *exec.Cmd {
		cmd := exec.Command("node", file)
		cmd.Env = append(os.Environ(), "NODE_PATH="+path(t, "test", "clients", "node", "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING=1")
		return cmd
	}, ""},
}

var snippet = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// What the quick start shows is typed here as it stands, in the page's order, but for the addresses.
func TestQuickStart_SnippetsDoWhatItSays(t *testing.T) {
	t.Parallel()
	for _, p := range []part{kcatPart, javaPart, toolsPart, pythonPart, nodePart} {
		need(t, p)
	}
	agent := harness.Start(t, harness.Options{})
	page, err := os.ReadFile(path(t, "docs", "quick-start.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := harness.TempDir(t)
	env := toolsOnPath(t, dir)
	env = append(env, "ODRADEK_BOOTSTRAP="+agent.Addr, "ODRADEK_HTTP="+agent.HTTP, "ODRADEK_LISTEN="+agent.Addr,
		"ODRADEK_DATA_DIR="+agent.DataDir, "ODRADEK_BUCKET="+agent.Bucket)
	here := strings.NewReplacer("127.0.0.1:9092", agent.Addr, "127.0.0.1:8080", agent.HTTP, "bin/odradek", harness.Binary(t))
	typed := 0
	for _, m := range snippet.FindAllStringSubmatch(string(page), -1) {
		language, text := m[1], m[2]
		if language != "sh" {
			p, ok := programs[language]
			if !ok {
				t.Fatalf("nothing here runs a snippet of %s", language)
			}
			file := filepath.Join(dir, p.file)
			if err := os.WriteFile(file, []byte(p.before+here.Replace(text)+p.after), 0o644); err != nil {
				t.Fatal(err)
			}
			typeIn(t, p.run(t, file), text, p.prints)
			typed++
			continue
		}
		for command := range strings.Lines(text) {
			command = strings.TrimSpace(command)
			want, ok := prints[command]
			if !ok {
				t.Fatalf("nothing here says what %q prints", command)
			}
			if command == "make run" {
				continue
			}
			cmd := exec.Command("bash", "-o", "pipefail", "-c", here.Replace(command))
			cmd.Env = env
			typeIn(t, cmd, command, want)
			typed++
		}
	}
	if want := len(prints) - 1 + len(programs); typed != want {
		t.Errorf("%d snippets were typed, %d are known", typed, want)
	}
}

// typeIn runs a command to its end.
func typeIn(t *testing.T, cmd *exec.Cmd, said, want string) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	timer := time.AfterFunc(2*patience, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(want).Match(out) {
		t.Errorf("%s\n%s%v; want %q", said, out, err, want)
	}
}

// toolsOnPath gives an environment in which the scripts of Apache Kafka's distribution are found: they call the same classes.
func toolsOnPath(t *testing.T, dir string) []string {
	t.Helper()
	for name, class := range map[string]string{
		"kafka-topics": "TopicCommand", "kafka-console-producer": "ConsoleProducer", "kafka-console-consumer": "consumer.ConsoleConsumer",
		"kafka-consumer-groups": "consumer.group.ConsumerGroupCommand",
	} {
		script := fmt.Sprintf("#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -cp '%s/*' org.apache.kafka.tools.%s \"$@\"\n",
			path(t, "test", "clients", "tools", "target", "lib"), class)
		if err := os.WriteFile(filepath.Join(dir, name+".sh"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PATH=") && !strings.HasPrefix(e, "ODRADEK_") {
			env = append(env, e)
		}
	}
	return env
}
