//! Every command, its exit codes and its forms.
