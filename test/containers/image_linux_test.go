package containers

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/test/harness"
)

const (
	imageName    = "odradek:under-test"
	imageVersion = "v0.0.0-image"
	imageUser    = 65532
)

// image is the manifest list that `make image` made, in a store of its own.
type image struct {
	t   *testing.T
	dir string
	env []string
}

// makeImage makes it for both platforms.
func makeImage(t *testing.T) *image {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatalf("%v; type: sudo apt-get install -y --no-install-recommends buildah", err)
	}
	i := &image{t: t, dir: harness.TempDir(t)}
	conf := filepath.Join(i.dir, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(i.dir, "graph"), filepath.Join(i.dir, "run"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	i.env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf, "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot", "TMPDIR="+i.dir)
	cmd := exec.CommandContext(t.Context(), "../../.ci/image")
	cmd.Env = append(i.env, "BUILDER=buildah", "IMAGE="+imageName, "VERSION="+imageVersion, "PLATFORMS=linux/amd64,linux/arm64",
		"STAGING="+filepath.Join(i.dir, "staging"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf(".ci/image: %v\n%s", err, out)
	}
	return i
}

// try runs buildah and gives what it printed and whether it succeeded.
func (i *image) try(args ...string) (string, error) {
	cmd := exec.CommandContext(i.t.Context(), "buildah", append([]string{"--storage-driver", "vfs"}, args...)...)
	cmd.Env = i.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (i *image) buildah(args ...string) string {
	i.t.Helper()
	out, err := i.try(args...)
	if err != nil {
		i.t.Fatalf("buildah %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// container makes a container of the image and gives its name and the directory of its files, as nobody has touched them.
func (i *image) container(arch string) (name, root string) {
	i.t.Helper()
	name = i.buildah("from", "--platform", "linux/"+arch, imageName)
	return name, i.buildah("mount", name)
}

// file is what is told of a file of the image.
type file struct {
	Path string
	Mode fs.FileMode
	UID  uint32
}

func files(t *testing.T, root string) (list []file) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		list = append(list, file{strings.TrimPrefix(path, root), info.Mode(), info.Sys().(*syscall.Stat_t).Uid})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestImage(t *testing.T) {
	i := makeImage(t)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			name, root := i.container(arch)
			isOneStaticBinary(t, root, arch, machine)
			isConfigured(t, i.buildah("inspect", name), arch)
		})
	}
	t.Run("commands", func(t *testing.T) { runsItsCommandsAndNoOther(t, i) })
	t.Run("agent", func(t *testing.T) { runsAnAgent(t, i) })
	t.Run("bucket away", func(t *testing.T) { tellsAliveFromReady(t, i) })
}

// isOneStaticBinary wants nothing in the image but the program, for the right machine and with root certificates, and /data.
func isOneStaticBinary(t *testing.T, root, arch string, machine elf.Machine) {
	want := []file{{"/data", fs.ModeDir | 0o755, imageUser}, {"/odradek", 0o755, 0}}
	if diff := cmp.Diff(want, files(t, root)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	program := filepath.Join(root, "odradek")
	binary, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if binary.Machine != machine {
		t.Errorf("the binary is for %v", binary.Machine)
	}
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has %v", p.Type)
		}
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	roots := false
	for _, d := range info.Deps {
		roots = roots || d.Path == "golang.org/x/crypto/x509roots/fallback"
	}
	if !roots {
		t.Error("the binary has no root certificates in it")
	}
	for _, s := range info.Settings {
		if s.Key == "GOARCH" && s.Value != arch {
			t.Errorf("built for %s", s.Value)
		}
	}
}

// isConfigured compares user, ports, place to write to, and what is run.
func isConfigured(t *testing.T, inspected, arch string) {
	type config struct {
		User         string
		ExposedPorts map[string]struct{}
		Volumes      map[string]struct{}
		Env          []string
		Entrypoint   []string
		Cmd          []string
		Healthcheck  struct{ Test []string }
	}
	var got struct {
		Docker struct {
			Architecture string
			Config       config
		}
	}
	if err := json.Unmarshal([]byte(inspected), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Docker.Config
	c.Env = slices.DeleteFunc(c.Env, func(e string) bool { return !strings.HasPrefix(e, "ODRADEK_") })
	want := config{
		User: "65532:65532", ExposedPorts: map[string]struct{}{"9092/tcp": {}, "8080/tcp": {}}, Volumes: map[string]struct{}{"/data": {}},
		Env:        []string{"ODRADEK_LISTEN=:9092", "ODRADEK_HTTP=:8080", "ODRADEK_DATA_DIR=/data"},
		Entrypoint: []string{"/odradek"}, Cmd: []string{"agent"},
	}
	want.Healthcheck.Test = []string{"CMD", "/odradek", "healthcheck", "--live"}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("the image says (-want +got):\n%s", diff)
	}
	if got.Docker.Architecture != arch {
		t.Errorf("the image is for %s", got.Docker.Architecture)
	}
}

// runsItsCommandsAndNoOther has buildah run them: the container's own user, its own files.
func runsItsCommandsAndNoOther(t *testing.T, i *image) {
	name, root := i.container("amd64")
	run := func(args ...string) (string, error) {
		return i.try(append([]string{"run", "--isolation", "chroot", name, "--"}, args...)...)
	}
	out, err := run("/odradek", "version")
	if err != nil || !regexp.MustCompile(`^odradek `+imageVersion+`.* linux/amd64\n$`).MatchString(out) {
		t.Errorf("odradek version: %v, %q", err, out)
	}
	for _, shell := range []string{"/bin/sh", "sh", "bash", "/bin/busybox"} {
		if out, err := run(shell, "-c", "true"); err == nil || !strings.Contains(out, "no such file") && !strings.Contains(out, "not found") {
			t.Errorf("%s: %v, %q; want that there is none", shell, err, out)
		}
	}
	if left := files(t, filepath.Join(root, "data")); len(left) != 0 {
		t.Errorf("the commands left %v in /data", left)
	}

	// The check of a container without an agent fails, and succeeds beside one, which it finds as the agent finds its address.
	agent := harness.Start(t, harness.Options{})
	check := []string{"run", "--isolation", "chroot", "--env", "ODRADEK_HTTP=" + agent.HTTP, name, "--", "/odradek", "healthcheck"}
	if out, err := i.try(check...); err != nil || out != "ok\n" {
		t.Errorf("health check: %v, %q", err, out)
	}
	agent.Kill()
	if out, err := i.try(check...); err == nil || !strings.Contains(out, "connection refused") {
		t.Errorf("health check without an agent: %v, %q", err, out)
	}
}

// running is an agent in the image.
type running struct {
	cmd         *exec.Cmd
	exited      <-chan struct{}
	out         *bytes.Buffer
	kafka, http string
	inside      inside
}

// start starts one as an engine with a read-only root would, with more environment.
func start(t *testing.T, i *image, env ...string) *running {
	t.Helper()
	_, root := i.container("amd64")
	data := harness.TempDir(t)
	if err := os.Chown(data, imageUser, imageUser); err != nil {
		t.Fatal(err)
	}
	r := &running{out: new(bytes.Buffer), kafka: harness.FreeAddr(t), http: harness.FreeAddr(t)}
	_, kafkaPort, _ := net.SplitHostPort(r.kafka)
	_, httpPort, _ := net.SplitHostPort(r.http)
	r.inside = inside{Root: root, Data: data, User: imageUser, Env: append([]string{
		"ODRADEK_LISTEN=:" + kafkaPort, "ODRADEK_HTTP=:" + httpPort, "ODRADEK_DATA_DIR=/data", "ODRADEK_ADVERTISE=" + r.kafka,
		"ODRADEK_WAL_SIZE=64MiB",
	}, env...)}
	before := files(t, root)
	r.cmd = r.inside.with("/odradek", "agent").command(t)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	exited, err := harness.StartTied(r.cmd)
	if err != nil {
		t.Fatal(err)
	}
	r.exited = exited
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		<-r.exited
		if t.Failed() {
			t.Logf("the agent printed:\n%s", r.out)
		}
		if diff := cmp.Diff(before, files(t, root)); diff != "" {
			t.Errorf("the agent wrote outside /data (-before +after):\n%s", diff)
		}
	})
	return r
}

func (i inside) with(args ...string) inside {
	i.Args = args
	return i
}

// do runs a command of the image beside the agent.
func (r *running) do(t *testing.T, input string, args ...string) (string, int) {
	t.Helper()
	in := r.inside.with(append([]string{"/odradek"}, args...)...)
	in.Env = append(slices.Clone(in.Env), "ODRADEK_BOOTSTRAP="+r.kafka)
	cmd := in.command(t)
	cmd.Stdin = strings.NewReader(input)
	runtime.LockOSThread() // the kernel ties the child to the thread that starts it: nothing may end that meanwhile
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// await repeats a health check until it ends as wanted.
func (r *running) await(t *testing.T, status int, text string, args ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, got := r.do(t, "", append([]string{"healthcheck"}, args...)...)
		if got == status && strings.Contains(out, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("odradek healthcheck %v: status %d, %q; want %d, %q", args, got, out, status, text)
		}
	}
}

// runsAnAgent has one serve on a read-only root, without root's rights, and stop in order.
func runsAnAgent(t *testing.T, i *image) {
	r := start(t, i)
	r.await(t, 0, "ok\n")
	r.await(t, 0, "ok\n", "--live")
	if out, status := r.do(t, "from a container\n", "produce", "greetings", "--partition", "0"); status != 0 {
		t.Errorf("produce: %s", out)
	}
	if out, status := r.do(t, "", "consume", "greetings", "-n", "1"); status != 0 || out != "from a container\n" {
		t.Errorf("consume: %d, %q", status, out)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^Uid:\s+65532\s+65532\s+65532\s+65532$`, `(?m)^CapEff:\s+0+$`, `(?m)^Groups:\s*$`} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("the agent's process is not %s:\n%s", want, text)
		}
	}
	for _, f := range files(t, r.inside.Data) {
		if f.UID != imageUser {
			t.Errorf("%s is of user %d", f.Path, f.UID)
		}
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-r.exited; r.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("after SIGTERM: %v", r.cmd.ProcessState)
	}
}

// tellsAliveFromReady: an agent that waits for its bucket is not ready, says why, and is not to be killed for that.
func tellsAliveFromReady(t *testing.T, i *image) {
	r := start(t, i, "ODRADEK_BUCKET=minio://"+harness.FreeAddr(t)+"/nothing/there?secure=false", "ODRADEK_REDIS=embedded",
		"AWS_ACCESS_KEY_ID=odradek", "AWS_SECRET_ACCESS_KEY=odradek-secret")
	r.await(t, 0, "ok\n", "--live")
	r.await(t, 1, "bucket")
	r.await(t, 0, "ok\n", "--live")
}

// With an engine of docker the same is asked of docker; a platform that is not built is refused before anything is.
func TestImage_IsMadeByDockerWhereItsEngineAnswers(t *testing.T) {
	dir := harness.TempDir(t)
	said := filepath.Join(dir, "said")
	for name, script := range map[string]string{
		"docker": `[ "$1" = version ] || echo "$*" >` + said,
		"go":     `[ "$1" = env ] && echo amd64 || echo "$GOOS/$GOARCH cgo $CGO_ENABLED" >>` + said + `.built`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	staging := filepath.Join(dir, "staging")
	image := func(args []string, env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "../../.ci/image", args...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "STAGING="+staging, "VERSION=v1", "IMAGE=", "PLATFORMS=", "BUILDER=")
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, c := range []struct {
		env        []string
		args       []string
		want, made string
	}{
		{nil, nil, "build --platform linux/amd64 -t odradek:dev -f Dockerfile " + staging, "linux/amd64 cgo 0\n"},
		{
			[]string{"IMAGE=registry.example/odradek:v1", "PLATFORMS=linux/amd64,linux/arm64"}, []string{"--push"},
			"buildx build --platform linux/amd64,linux/arm64 -t registry.example/odradek:v1 --push -f Dockerfile " + staging,
			"linux/amd64 cgo 0\nlinux/arm64 cgo 0\n",
		},
	} {
		os.Remove(said + ".built")
		if out, err := image(c.args, c.env...); err != nil {
			t.Fatalf("%v: %v\n%s", c.env, err, out)
		}
		for file, want := range map[string]string{said: c.want + "\n", said + ".built": c.made} {
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%v: %v, %q; want %q", c.env, err, got, want)
			}
		}
	}
	for _, wrong := range []string{"PLATFORMS=linux/riscv64", "BUILDER=kaniko"} {
		var exit *exec.ExitError
		if out, err := image(nil, wrong); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(out, "want ") {
			t.Errorf("%s: %v\n%s", wrong, err, out)
		}
	}
}
