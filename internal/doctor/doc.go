// Package doctor judges whether a machine is ready for a first boot with its
// definitions. What is known of the machine comes in as a Report; Diagnose adds what
// would stop that boot, or weaken what it makes, each with its remedy. Nothing is
// opened or read here.
package doctor
