package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Volatile says that the keys file of this path will be lost with its container, pod or machine, and what to do about
// it. It is empty for a file that outlives them, and where the system does not tell.
func Volatile(path string) string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	folder, err := filepath.Abs(filepath.Dir(withoutLinks(path)))
	if err != nil {
		return ""
	}
	if kind := volatileMount(string(mounts), existing(folder)); kind != "" {
		return fmt.Sprintf("the keys in %s are lost when its container, pod or machine ends, because it is on %s; mount a volume there", folder, kind)
	}
	return ""
}

// existing is the folder without symbolic links, or the one above it that there is.
func existing(folder string) string {
	for {
		real, err := filepath.EvalSymlinks(folder)
		if err == nil {
			return real
		}
		above := filepath.Dir(folder)
		if above == folder {
			return folder
		}
		folder = above
	}
}

// volatileMount returns what kind of volatile file system the folder is on, by the system's list of mounts
// (proc_pid_mountinfo(5)), or nothing. Of mounts at one place the last covers the others.
func volatileMount(mounts, folder string) (kind string) {
	nearest := -1
	for line := range strings.Lines(mounts) {
		place, system, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(place), strings.Fields(system)
		if !ok || len(left) < 6 || len(right) < 1 {
			continue
		}
		point := unescapeMount.Replace(left[4])
		if len(point) < nearest || !within(folder, point) {
			continue
		}
		nearest, kind = len(point), ""
		switch right[0] {
		case "overlay", "aufs", "tmpfs", "ramfs":
			kind = right[0]
		}
		if strings.Contains(left[3], "kubernetes.io~empty-dir") { // the node's disk, for as long as the pod lives
			kind = "emptyDir"
		}
	}
	return kind
}

// unescapeMount takes back how the list of mounts writes what would end a field.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`) // read-only

func within(folder, point string) bool {
	return folder == point || strings.HasPrefix(folder, strings.TrimSuffix(point, "/")+"/")
}
