package host

import "strings"

// How a part of the kernel that may be a module is there.
const (
	ModuleLoaded  = "loaded"
	ModuleBuiltIn = "built in"
	ModuleFile    = "module" // it can be loaded
	ModuleMissing = "missing"
)

// Module tells how a part of the running kernel is there, by its module's name, such
// as "dm-crypt".
func Module(name string) string { return machine("/").module(name) }

func (m machine) module(name string) string {
	folder := "/lib/modules/" + m.line("/proc/sys/kernel/osrelease")
	switch {
	case m.exists("/sys/module/" + strings.ReplaceAll(name, "-", "_")):
		return ModuleLoaded
	case strings.Contains(m.line(folder+"/modules.builtin"), "/"+name+".ko"):
		return ModuleBuiltIn
	case strings.Contains(m.line(folder+"/modules.dep"), "/"+name+".ko"):
		return ModuleFile
	}
	return ModuleMissing
}
