package terraform

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a directory that an instance's first start takes for its own /etc, /run, /usr/local/bin, /var and /dev, with
// programs that note how they were called.
type machine struct {
	t    *testing.T
	root string
}

// programs of an instance, as far as the script needs them. Each notes its call in calls.
var stubs = map[string]string{
	"dnf": "", "mount": "", "systemctl": "", "sleep": "", // nothing is waited for
	"mkfs.xfs": `touch "$ROOT/formatted"`,
	"blkid":    `[ -e "$ROOT/formatted" ] || exit 2; [ "$1" != -o ] || printf 'DEVNAME=x\nUUID=1-2-3\nTYPE=xfs\n'`,
	"docker":   `[ "$1" != login ] || cat >"$ROOT/login"; [ "$1" != rm ] || exit 1`, // there is none yet
	"aws":      `case "$1" in secretsmanager) echo 's3cret=with=signs' ;; ecr) echo token ;; esac`,
	"curl": `case "$*" in
*api/token*) echo token ;;
*lifecycle-state*) echo x >>"$ROOT/looks"; [ "$(wc -l <"$ROOT/looks")" -gt 2 ] && echo Terminated || echo InService ;;
*instance-id*) echo i-0123 ;;
esac`,
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t, t.TempDir()}
	for _, dir := range []string{"stubs", "etc/systemd/system", "run", "usr/local/bin", "var/lib", "dev"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, does := range stubs {
		m.write("stubs/"+name, "#!/bin/bash\nROOT="+m.root+"\necho \""+name+" $*\" >>\"$ROOT/calls\"\n"+does+"\n")
	}
	m.write("etc/fstab", "UUID=0-0-0 / xfs defaults 0 1\n")
	return m
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// here gives a script of an instance for this directory.
func (m *machine) here(script string) string {
	var pairs []string
	for _, path := range []string{"/etc/odradek", "/etc/fstab", "/etc/systemd", "/run/odradek.env", "/usr/local/bin", "/var/lib/odradek", "/dev/sdf"} {
		pairs = append(pairs, path, m.root+path)
	}
	return strings.NewReplacer(pairs...).Replace(script)
}

// run runs a script to its end and gives the calls that it made.
func (m *machine) run(script string) []string {
	m.t.Helper()
	os.Remove(filepath.Join(m.root, "calls"))
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = []string{"PATH=" + filepath.Join(m.root, "stubs") + ":/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	timer := time.AfterFunc(time.Minute, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(strings.ReplaceAll(strings.TrimSpace(m.read("calls")), m.root, ""), "\n")
}

// The script with which an instance starts formats its volume once and mounts it at every start, and the services that it
// leaves there start the agent with its password and end it before the instance goes.
func TestInstance_FirstStart(t *testing.T) {
	t.Parallel()
	s := examples(t)["ec2_ebs"]
	encoded, _ := s.one(t, "aws_launch_template.agent[0]").Values["user_data"].(string)
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !strings.HasPrefix(string(text), "#!/bin/bash\n") {
		t.Fatalf("user data %q, %v", encoded, err)
	}
	m := newMachine(t)
	script := m.here(string(text))

	first := m.run(script)
	for _, want := range []string{"dnf install -y docker", "mkfs.xfs /dev/sdf", "mount -a", "systemctl daemon-reload", "systemctl enable --now docker odradek odradek-watch"} {
		if !slices.Contains(first, want) {
			t.Errorf("%q was not called: %q", want, first)
		}
	}
	mounted := "UUID=0-0-0 / xfs defaults 0 1\nUUID=1-2-3 " + m.root + "/var/lib/odradek xfs noatime,nofail 0 2\n"
	if got := m.read("etc/fstab"); got != mounted {
		t.Errorf("fstab:\n%swant\n%s", got, mounted)
	}
	for name := range strings.Lines(m.read("etc/odradek/agent.env")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(name), "="); !ok || name == "" || value == "" || strings.Contains(name, "PASSWORD") {
			t.Errorf("agent.env has %s=%s", name, value)
		}
	}

	if again := m.run(script); slices.ContainsFunc(again, func(c string) bool { return strings.HasPrefix(c, "mkfs") }) {
		t.Errorf("formatted again: %q", again)
	}
	if got := m.read("etc/fstab"); got != mounted {
		t.Errorf("fstab after another run:\n%s", got)
	}

	prepared := m.run(filepath.Join(m.root, "usr/local/bin/odradek-prepare"))
	if got := m.read("run/odradek.env"); got != "ODRADEK_REDIS_PASSWORD=s3cret=with=signs\n" {
		t.Errorf("the password comes as %q", got)
	}
	if info, err := os.Stat(filepath.Join(m.root, "run/odradek.env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v, %v", info.Mode(), err)
	}
	if !slices.ContainsFunc(prepared, func(c string) bool { return strings.HasPrefix(c, "docker pull --quiet ") }) {
		t.Errorf("no image was pulled: %q", prepared)
	}
	for _, unit := range []string{"odradek.service", "odradek-watch.service"} {
		text := m.read("etc/systemd/system/" + unit)
		for line := range strings.Lines(text) {
			if program, ok := strings.CutPrefix(line, "ExecStart="+m.root); ok {
				if _, err := os.Stat(filepath.Join(m.root, strings.Fields(program)[0])); err != nil {
					t.Errorf("%s: %v", unit, err)
				}
			}
		}
		if strings.Contains(text, "${") || strings.Contains(text, "%{") {
			t.Errorf("%s has what the template should have filled in:\n%s", unit, text)
		}
	}

	watched := m.run(filepath.Join(m.root, "usr/local/bin/odradek-watch"))
	stop := slices.Index(watched, "systemctl stop odradek")
	goOn := slices.IndexFunc(watched, func(c string) bool {
		return strings.HasPrefix(c, "aws autoscaling complete-lifecycle-action ") && strings.HasSuffix(c, " --instance-id i-0123 --lifecycle-action-result CONTINUE")
	})
	if stop < 0 || goOn < stop {
		t.Errorf("told that the instance ends: %q; want the agent stopped, then the instance let go", watched)
	}
	group := s.one(t, "aws_autoscaling_group.agents[0]").Values
	want := fmt.Sprintf(" --auto-scaling-group-name %v --lifecycle-hook-name %v ", group["name"], at(group, "initial_lifecycle_hook", 0, "name"))
	if goOn >= 0 && !strings.Contains(watched[goOn], want) {
		t.Errorf("%q names another group or hook than %q", watched[goOn], want)
	}
}
