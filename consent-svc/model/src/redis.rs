//! Redis: who may command which node, and what befalls the nodes.

use crate::mutant::Mutant;
use crate::protocol::{Protocol, Step};
use crate::state::{Connection, Key, Node, State, bits};

impl Protocol {
    /// The nodes, as bits, on which a command for this generation passes the verification of identity.
    ///
    /// With the identity compared in the same script as the command, where the connection leads does not matter: a
    /// command that reaches another node is refused, which is like one that is lost.
    pub(crate) fn admitted(&self, s: &State, generation: u8, connection: usize) -> u8 {
        let identity = s.identities[usize::from(generation)];
        let of_nodes = |admits: &dyn Fn(&Node) -> bool| {
            (0..self.config.nodes)
                .filter(|node| admits(&s.nodes[usize::from(*node)]))
                .fold(0, |all, node| all | 1 << node)
        };
        match self.mutant {
            Some(Mutant::IdentityNotVerified) => {
                s.connections[connection].map_or(0, |to| 1 << to.node)
            }
            Some(Mutant::IdentityAtConnect) => s.connections[connection]
                .map_or(0, |to| u8::from(to.identity == identity) << to.node),
            Some(Mutant::RunIdAlone | Mutant::ReplidAlone) => {
                of_nodes(&|node| node.identity == identity)
            }
            _ => of_nodes(&|node| node.primary && node.identity == identity),
        }
    }

    /// Those of them that take a command which writes: a replica refuses it, whoever sends it.
    pub(crate) fn writable(&self, s: &State, generation: u8, connection: usize) -> u8 {
        let primaries =
            (0_u8..).zip(&s.nodes).fold(0, |all, (at, node)| all | u8::from(node.primary) << at);
        self.admitted(s, generation, connection) & primaries
    }

    pub(crate) fn redis_steps(&self, s: &State, steps: &mut Vec<Step>) {
        if self.config.evictions {
            steps.extend((0..self.config.subjects).map(|subject| Step::Evict { subject }));
        }
        if self.mutant.is_some_and(Mutant::trusts_connections) {
            for connection in 0..2 {
                for node in
                    (0..self.config.nodes).filter(|node| s.nodes[usize::from(*node)].primary)
                {
                    steps.push(Step::Connect { connection, node });
                }
            }
        }
        if self.config.nodes < 2 {
            return;
        }
        for node in 0..2 {
            let (own, other) = (&s.nodes[usize::from(node)], &s.nodes[usize::from(1 - node)]);
            match (own.primary, other.primary) {
                (true, true) => steps.push(Step::Demote { node }),
                (true, false) => steps.push(Step::RestartFromDump { node }),
                (false, _) => steps.extend([Step::Replicate { node }, Step::Promote { node }]),
            }
        }
    }

    pub(crate) fn apply_redis(&self, s: &mut State, step: Step) {
        match step {
            // A replica catches up. It has a state that its primary once had, because it copied it then.
            Step::Replicate { node } => {
                let primary = s.nodes[usize::from(1 - node)];
                self.follow(&mut s.nodes[usize::from(node)], &primary);
            }
            // A replica, however far behind, becomes a primary: the other may go on as one beside it.
            Step::Promote { node } => {
                s.nodes[usize::from(node)].primary = true;
                if !self.mutated(Mutant::RunIdAlone) {
                    s.nodes[usize::from(node)].identity = fresh_identity(s);
                }
            }
            // A primary becomes a replica of the other and takes over its keys. Run id and connections are kept.
            Step::Demote { node } => {
                let primary = s.nodes[usize::from(1 - node)];
                s.nodes[usize::from(node)].primary = false;
                self.follow(&mut s.nodes[usize::from(node)], &primary);
            }
            // A primary restarts from an old dump, for which the keys of its lagging replica serve.
            Step::RestartFromDump { node } => {
                let identity = fresh_identity(s);
                s.nodes[usize::from(node)].keys = s.nodes[usize::from(1 - node)].keys;
                s.nodes[usize::from(node)].identity = identity;
                for connection in &mut s.connections {
                    *connection = connection.filter(|to| to.node != node);
                }
            }
            Step::Evict { subject } => {
                for generation in &mut s.nodes[0].keys {
                    generation[usize::from(subject)] = Key::Empty;
                }
            }
            Step::Connect { connection, node } => {
                let identity = s.nodes[usize::from(node)].identity;
                s.connections[usize::from(connection)] = Some(Connection { node, identity });
            }
            _ => {}
        }
    }

    fn follow(&self, node: &mut Node, primary: &Node) {
        node.keys = primary.keys;
        if !self.mutated(Mutant::RunIdAlone) {
            node.identity = primary.identity;
        }
    }
}

/// An identity that nobody and nothing has: random in Redis, the smallest free number here.
fn fresh_identity(s: &State) -> u8 {
    let nodes = s.nodes.iter().map(|node| node.identity);
    let connections = s.connections.iter().flatten().map(|to| to.identity);
    let used = nodes
        .chain(connections)
        .chain(s.identities)
        .fold(1_u8, |used, identity| used | 1 << identity);
    bits(!used).next().unwrap_or(u8::MAX)
}
