package executor

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

var (
	crashTimes = flag.Int("crash-times", 3, "how often the power is cut after each operation of a conversion")
	crashFloor = flag.Int64("crash-floor", 0, "fail where fewer crash states than this were tried")
)

// crashCount is how many states were recovered from, every byte compared.
var crashCount atomic.Int64

// TestMain counts the crash states, so that a run that promises many cannot pass by
// trying few.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if n := crashCount.Load(); n > 0 {
		fmt.Printf("%d crash states recovered from\n", n)
	}
	if n := crashCount.Load(); code == 0 && n < *crashFloor {
		fmt.Printf("FAIL: %d were promised\n", *crashFloor)
		code = 1
	}
	os.Exit(code)
}
