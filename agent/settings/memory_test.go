package settings

import (
	"path/filepath"
	"testing"
)

// machine builds a directory that looks like the root of one.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		write(t, filepath.Join(root, path), text)
	}
	return root
}

func TestMachineMemory_IsTheLeastOfMachineAndControlGroups(t *testing.T) {
	meminfo := "MemTotal:       16777216 kB\nMemFree:   1 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Bytes
	}{
		{"bare machine", map[string]string{"proc/meminfo": meminfo}, 16 * GiB},
		{"nothing known", nil, 0},
		{"version 2, own limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/pod/me\n",
			"sys/fs/cgroup/pod/me/memory.max": "1073741824\n", "sys/fs/cgroup/pod/memory.max": "max\n",
		}, GiB},
		{"version 2, limit above", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/pod/me\n",
			"sys/fs/cgroup/pod/me/memory.max": "max\n", "sys/fs/cgroup/pod/memory.max": "2147483648\n",
		}, 2 * GiB},
		{"version 2, inside a container", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n",
		}, 512 * MiB},
		{"version 1", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3221225472\n",
		}, 3 * GiB},
		{"version 1, unlimited", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 16 * GiB},
		{"a limit above the machine", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999999\n",
		}, 16 * GiB},
	} {
		if got := machineMemory(machine(t, c.files)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestDefaultMemory_IsHalfTheMachineWithinBounds(t *testing.T) {
	for of, want := range map[Bytes]Bytes{
		0: 512 * MiB, 2 * GiB: GiB, 24 * GiB: 4 * GiB, 64 * MiB: 64 * MiB, 3*GiB + 12345: 1536 * MiB,
	} {
		if got := defaultMemory(of); got != want {
			t.Errorf("of %v: got %v, want %v", of, got, want)
		}
	}
}
