package kongdev

import (
	"os"
	"time"
)

// lateWriters is how long plugin processes that outlive the gateway may still write below its prefix.
const lateWriters = 12 * time.Second

// RemovePrefix removes a prefix folder that was made for one gateway. It tries again while plugins that finish their work
// put files there.
func RemovePrefix(dir string) error {
	for end := time.Now().Add(lateWriters); ; time.Sleep(10 * time.Millisecond) {
		if err := os.RemoveAll(dir); err == nil || time.Now().After(end) {
			return err
		}
	}
}
