package settings

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// defaultMemory is half of what the machine has, at most 4 GiB, in whole MiB. An unknown machine counts as 1 GiB.
func defaultMemory(machine Bytes) Bytes {
	if machine <= 0 {
		machine = GiB
	}
	half := min(machine/2, maxDefaultMemory)
	return max(half-half%MiB, minMemory)
}

// machineMemory gives the memory this process may use: that of the machine or the lowest limit of the control
// groups it runs in, whichever is less; 0 if neither can be read. root is "/", or a directory that holds a copy.
func machineMemory(root string) Bytes {
	least := Bytes(math.MaxInt64)
	for _, limit := range append(cgroupLimits(root), memTotal(root)) {
		if limit > 0 {
			least = min(least, limit)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// memTotal reads the size of the machine's memory from /proc/meminfo.
func memTotal(root string) Bytes {
	f, err := os.Open(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err == nil && kib < math.MaxInt64/int64(KiB) {
				return Bytes(kib) * KiB
			}
		}
	}
	return 0
}

// cgroupLimits reads the memory limits of this process's control group and of all above it, of both versions.
func cgroupLimits(root string) []Bytes {
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	var limits []Bytes
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case parts[1] == "memory":
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := filepath.Join("/", parts[2]); ; dir = filepath.Dir(dir) {
			limits = append(limits, readLimit(filepath.Join(root, base, dir, file)))
			if dir == "/" {
				break
			}
		}
	}
	return limits
}

// readLimit reads one limit; 0 stands for none, as the word max does.
func readLimit(file string) Bytes {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return Bytes(n)
}
