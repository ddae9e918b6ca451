//! The terminal's bell: what rings it. Pure.

/// When it rings, as `/bell` sets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bell {
    /// Never.
    Off,
    /// For what is meant for us.
    #[default]
    Pm,
    /// For whatever others say.
    All,
}

/// What has come from somebody else, just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// Something for everybody.
    Said,
    /// Something that is meant for us: it has our nick, or nobody else reads it.
    Private,
}

impl Bell {
    /// Reads what `/bell` is set to.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "off" => Self::Off,
            "pm" => Self::Pm,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// Whether that rings it.
    pub fn rings_for(self, ring: Ring) -> bool {
        match self {
            Bell::Off => false,
            Bell::Pm => ring == Ring::Private,
            Bell::All => true,
        }
    }

    /// What it is set to, for people.
    pub fn told(self) -> &'static str {
        match self {
            Bell::Off => "the bell is off",
            Bell::Pm => "the bell rings for private messages, and where somebody names you",
            Bell::All => "the bell rings for each message of others",
        }
    }
}
