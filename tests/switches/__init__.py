"""Check that clients work under all settings of the emulator's switches."""
