package store

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Warnings are what an operator should know of where a keys file is: that it will be lost, or is of one node alone.
func Warnings(path string) (list []string) {
	for _, text := range []string{Volatile(path), Unshared(path)} {
		if text != "" {
			list = append(list, text)
		}
	}
	return list
}

// kongSettings is where Kong keeps, in its prefix, what it runs with: lines such as role = data_plane.
// Source: kong/cmd/utils/prefix_handler.lua of Kong 3.9.1.
const kongSettings = ".kong_env"

// maxKongSettings is how much of it is read.
const maxKongSettings = 1 << 20

// Unshared says that other nodes do not have the keys of the keys file of this path, and what to do about it. It is empty
// where Kong's settings do not tell of other nodes, and for a file that is not below Kong's prefix: that may be shared.
func Unshared(path string) string {
	f, err := os.Open(filepath.Join(filepath.Dir(filepath.Dir(path)), kongSettings))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKongSettings))
	if err != nil {
		return ""
	}
	const remedy = "mirror them to a Redis that all nodes read (keyauth keys mirror), or put them into the plugin's configuration (keyauth keys export -format config)"
	switch role, database := settingOf(text, "role"), settingOf(text, "database"); {
	case role == "control_plane":
		return fmt.Sprintf("the keys in %s count nowhere, because this node is a control plane and has no requests; %s", path, remedy)
	case role == "data_plane":
		return fmt.Sprintf("the keys in %s count on this node alone; where its control plane has other data planes, %s", path, remedy)
	case database == "postgres":
		return fmt.Sprintf("the keys in %s count on this node alone; where other nodes share its Kong's database, %s", path, remedy)
	}
	return ""
}

// settingOf finds the value of a line name = value.
func settingOf(settings []byte, name string) string {
	for line := range bytes.Lines(settings) {
		if left, right, ok := strings.Cut(string(line), "="); ok && strings.TrimSpace(left) == name {
			return strings.TrimSpace(right)
		}
	}
	return ""
}
